"""Tasks that clients ask for: so many wait, and one is done at once; more are told when to ask again."""

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI, HTTPException
from fastapi.testclient import TestClient
from monailabel.utils.async_tasks import utils as host_tasks

from activelabel.server.routes import app_routes, inference_routes
from activelabel.server.routes.turns import MOST_QUEUED

REQUESTS = {
    "train": "/train/segmentation?enqueue=true",
    "scoring": "/scoring/variance",
    "batch_infer": "/batch/infer/segmentation",
}
NAMES = {"train": "trainings", "scoring": "scorings", "batch_infer": "batch inferences"}


class Tasks:
    """The app and the host's tasks, of which those that are done at once last until the test ends them."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.end, self.begun = threading.Event(), threading.Event()
        nothing: Callable[..., None] = lambda *_: None  # noqa: E731
        models = SimpleNamespace(require_labels_of=nothing, require_model=nothing, require_model_of=nothing)
        names = SimpleNamespace(infers=["segmentation"], trainers=["segmentation"], scoring_methods=["variance"])
        app = SimpleNamespace(models=models, tasks=names, check_training=nothing, project=SimpleNamespace(device="cpu"))
        for routes in (app_routes, inference_routes):
            patch.setattr(routes, "application", lambda: app)
        patch.setattr(app_routes, "trainer_params", lambda *_: {})
        patch.setattr(app_routes.train, "run_model", lambda _, __, now, ___: self.run(now))
        patch.setattr(app_routes.scoring, "run_method", lambda _, __, now: self.run(now))
        patch.setattr(inference_routes.batch_infer, "run", lambda _, __, ___, now: self.run(now))
        web = FastAPI()
        web.router.routes[:0] = [*app_routes.router.routes, *inference_routes.router.routes]
        self.client = TestClient(web)

    def run(self, now: bool) -> dict[str, Any]:
        if now:
            self.begun.set()
            assert self.end.wait(120)
        return {"status": "SUBMITTED"}


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> Tasks:
    return Tasks(monkeypatch)


@pytest.mark.parametrize("kind", REQUESTS)
def test_of_tasks_that_wait_only_so_many_are_taken(tasks: Tasks, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    running, waiting = {"status": "RUNNING"}, {"status": "SUBMITTED"}
    monkeypatch.setattr(host_tasks, "background_tasks", {kind: [running] + [waiting] * (MOST_QUEUED - 1)})
    assert tasks.client.post(REQUESTS[kind]).status_code == 200
    host_tasks.background_tasks[kind].append(waiting)
    answer = tasks.client.post(REQUESTS[kind])
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "60")
    assert answer.json() == {"detail": f"8 {NAMES[kind]} wait already: ask again when one is over"}


@pytest.mark.parametrize("kind", REQUESTS)
def test_one_task_is_done_at_once_and_a_second_is_told_to_wait(tasks: Tasks, kind: str) -> None:
    address = REQUESTS[kind] + ("&" if "?" in REQUESTS[kind] else "?") + "run_sync=true"
    answers: list[int] = []
    first = threading.Thread(target=lambda: answers.append(tasks.client.post(address).status_code))
    first.start()
    try:
        assert tasks.begun.wait(120)
        second = tasks.client.post(address)
    finally:
        tasks.end.set()
        first.join()
    assert (second.status_code, second.headers["Retry-After"]) == (429, "60")
    assert second.json() == {"detail": f"one of the {NAMES[kind]} is done for another request: ask again later"}
    assert answers == [200]
    assert tasks.client.post(address).status_code == 200, "the next one has its turn"


def test_a_host_that_is_busy_says_when_to_ask_again(tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object) -> None:
        raise HTTPException(429, "++++++++++ Scoring Task is Already Running")

    monkeypatch.setattr(app_routes.scoring, "run_method", busy)
    answer = tasks.client.post(REQUESTS["scoring"])
    assert (answer.status_code, answer.headers.get("Retry-After")) == (429, "60")
    assert answer.json() == {"detail": "++++++++++ Scoring Task is Already Running"}
