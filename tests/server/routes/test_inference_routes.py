"""Inferences that wait for each other must not block other requests."""

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from activelabel.server.routes import inference_routes
from activelabel.server.routes.inference_routes import INFERENCES_AT_ONCE

CROWD = 60  # the web server answers with 40 threads


class SlowApp:
    """An app whose inferences last until the test ends them."""

    def __init__(self) -> None:
        self.end = threading.Event()
        self.requests: list[Mapping[str, Any]] = []
        self.datastore = self.inference = self.tasks = self
        self.infers = ["segmentation"]

    def list_images(self) -> list[str]:
        return ["case_0"]

    def infer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.requests.append(request)
        assert self.end.wait(60)
        return {"file": None, "params": {"model_version": 1}}


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> SlowApp:
    app = SlowApp()
    monkeypatch.setattr(inference_routes, "application", lambda: app)
    return app


def test_a_crowd_that_waits_for_inferences_leaves_threads_to_others(slow: SlowApp) -> None:
    server = FastAPI()
    server.router.routes[:0] = inference_routes.router.routes
    server.get("/other")(lambda: "answered")

    async def ask() -> list[int]:
        transport = httpx.ASGITransport(server)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client:
            crowd = [
                asyncio.create_task(client.post("/infer/segmentation?image=case_0", data={"params": '{"roi": 5}'}))
                for _ in range(CROWD)
            ]
            while len(slow.requests) < INFERENCES_AT_ONCE:
                await asyncio.sleep(0.01)
            try:
                other = await asyncio.wait_for(client.get("/other"), 20)
            finally:
                slow.end.set()
            return [other.status_code, *(answer.status_code for answer in await asyncio.gather(*crowd))]

    assert asyncio.run(ask()) == [200] * (CROWD + 1)
    assert len(slow.requests) == CROWD


def test_a_model_is_given_its_own_params_and_those_that_all_have(slow: SlowApp) -> None:
    slow.end.set()
    inference_routes._infer("segmentation", "case_0", "", {"measure": "entropy", "save_label": "true"}, None, None)
    (request,) = slow.requests
    assert (request["model"], request["image"], request["measure"]) == ("segmentation", "case_0", "entropy")
    assert (request["save_label"], request["label_tag"]) == (True, "original")
