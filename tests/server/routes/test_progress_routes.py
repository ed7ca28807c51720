"""The stream of events over a real connection: it comes at once, and ends with the client or with the server."""

import json
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import requests
import uvicorn
from fastapi import FastAPI
from ports import free_port

from activelabel.server.access import AccessGuard
from activelabel.server.actions import events
from activelabel.server.actions.events import EventHub
from activelabel.server.actions.progress_answers import LabelCounts, ProjectProgress, ScoringProgress, TrainingProgress
from activelabel.server.routes import progress_routes

SOON_SECONDS = 120.0
PROGRESS = ProjectProgress(
    model_version=None, newest_model=None,
    training=TrainingProgress(
        running=True, model="segmentation", stage=None, epoch=2, epochs=9, seconds_left=7.5, dice=None
    ),
    scoring=ScoringProgress(running=False, unit="images", done=0, all=4, seconds_left=None),
    waits_for="A training or a scoring is under way.",
    labels=LabelCounts(unit="volumes", training=2, training_wanted=2, validation=1, validation_wanted=1),
    images=5, annotated=3, partly_annotated=0, unit="volumes", learning_curve=[], forecast=None, seconds_ahead=12.0,
    advice="It is too early for a forecast.",
)  # fmt: skip


class Reader:
    def read(self) -> ProjectProgress:
        return PROGRESS


class App:
    """The part of an app that these routes use."""

    progress = Reader()

    def __init__(self) -> None:
        self.events = EventHub(lambda: 0, self.progress.read, lambda: "", dict)


class Server:
    """A web server in a thread of this process, behind the guard of access."""

    def __init__(self, app: App) -> None:
        served = FastAPI()
        served.router.routes[:0] = progress_routes.router.routes
        guarded = AccessGuard(served, local_only=True, allowed_origins=())
        self.app, self.port = app, free_port()
        self.server = uvicorn.Server(uvicorn.Config(guarded, port=self.port, log_level="warning"))
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        until(lambda: self.server.started)
        self.address = f"http://127.0.0.1:{self.port}/activelabel"

    def listen(self, **headers: str) -> requests.Response:
        return requests.get(f"{self.address}/events", headers=headers, stream=True, timeout=SOON_SECONDS)


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_watched() -> bool:
    return any(thread.name == "events" for thread in threading.enumerate())


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(events, "LOOK_SECONDS", 0.02)
    app = App()
    monkeypatch.setattr(progress_routes, "application", lambda: app)
    made = Server(app)
    yield made
    app.events.close()
    made.server.should_exit = True
    made.thread.join(SOON_SECONDS)


def test_the_progress_is_typed_json(server: Server) -> None:
    assert requests.get(f"{server.address}/progress", timeout=SOON_SECONDS).json() == PROGRESS.model_dump()


def test_the_stream_begins_at_once_and_ends_when_the_client_leaves(server: Server) -> None:
    with server.listen() as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        lines = response.iter_lines(chunk_size=1, decode_unicode=True)
        found = [next(lines) for _ in range(5)]
        assert found[0] == "retry: 3000"
        assert found[3] == "event: progress"
        assert json.loads(found[4].removeprefix("data: "))["training"]["seconds_left"] == 7.5
        assert is_watched()
    until(lambda: not is_watched())
    assert server.thread.is_alive()


def test_a_page_of_another_site_hears_nothing(server: Server) -> None:
    with server.listen(Origin="https://elsewhere.example") as response:
        assert response.status_code == 403


def test_a_client_that_connects_again_may_send_the_last_id(server: Server) -> None:
    with server.listen(**{"Last-Event-ID": "0badcafe-1"}) as response:
        lines = response.iter_lines(chunk_size=1, decode_unicode=True)
        assert "event: missed" in [next(lines) for _ in range(5)]
    with server.listen(**{"Last-Event-ID": "x" * 65}) as response:
        assert response.status_code == 422
        assert response.json()["detail"].startswith("last-event-id: String should have at most 64 characters")


def test_an_open_stream_does_not_keep_the_server_from_ending(server: Server) -> None:
    with server.listen() as response:
        next(response.iter_content(1))
        server.app.events.close()
        server.server.should_exit = True
        server.thread.join(SOON_SECONDS)
        assert not server.thread.is_alive()
