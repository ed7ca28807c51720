"""Inferences that wait for each other must not block other requests."""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from activelabel.server.routes import inference_routes
from activelabel.server.routes.turns import AT_ONCE, MOST_WAITING

CROWD = 60  # the web server answers with 40 threads
TAKEN = AT_ONCE + MOST_WAITING


class SlowApp:
    """An app whose inferences last until the test ends them."""

    def __init__(self) -> None:
        self.end = threading.Event()
        self.requests: list[Mapping[str, Any]] = []
        self.datastore = self.inference = self.tasks = self
        self.infers = ["segmentation"]

    def lists(self, image_id: str) -> bool:
        return image_id == "case_0"

    def infer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.requests.append(request)
        assert self.end.wait(300)
        return {"file": None, "params": {"model_version": 1}}


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> SlowApp:
    app = SlowApp()
    monkeypatch.setattr(inference_routes, "application", lambda: app)
    return app


def test_of_a_crowd_a_few_wait_the_others_come_later_and_threads_are_left(slow: SlowApp) -> None:
    server = FastAPI()
    server.router.routes[:0] = inference_routes.router.routes
    server.get("/other")(lambda: "answered")

    async def all_have_come(crowd: Sequence[asyncio.Task[httpx.Response]]) -> None:
        while len(slow.requests) < AT_ONCE or sum(task.done() for task in crowd) < CROWD - TAKEN:
            await asyncio.sleep(0.01)

    async def ask() -> tuple[int, list[httpx.Response]]:
        transport = httpx.ASGITransport(server)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=300) as client:
            crowd = [
                asyncio.create_task(client.post("/infer/segmentation?image=case_0", data={"params": '{"roi": 5}'}))
                for _ in range(CROWD)
            ]
            try:
                await asyncio.wait_for(all_have_come(crowd), 120)
                other = await asyncio.wait_for(client.get("/other"), 120)
            finally:
                slow.end.set()
            return other.status_code, await asyncio.gather(*crowd)

    other, crowd = asyncio.run(ask())
    assert other == 200
    assert len(slow.requests) == TAKEN == 36
    refused = [answer for answer in crowd if answer.status_code != 200]
    assert len(refused) == CROWD - TAKEN
    for answer in refused:
        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.json() == {"detail": "32 requests wait for the model already: ask again later"}


def test_a_model_is_given_its_own_params_and_those_that_all_have(slow: SlowApp) -> None:
    slow.end.set()
    inference_routes._infer("segmentation", "case_0", "", {"measure": "entropy", "save_label": "true"}, None, None)
    (request,) = slow.requests
    assert (request["model"], request["image"], request["measure"]) == ("segmentation", "case_0", "entropy")
    assert (request["save_label"], request["label_tag"]) == (True, "original")
