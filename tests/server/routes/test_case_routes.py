"""The routes for cases as a client calls them: the requests that they pass on, and those that they refuse."""

from collections.abc import Mapping
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from activelabel.server.routes import case_routes


class Store:
    """A datastore of one image."""

    def list_images(self) -> list[str]:
        return ["case7"]

    def refresh(self) -> None:
        """Find no change."""


class Cases:
    """Returns the request that it was asked."""

    def skip_case(self, params: Mapping[str, Any], image_id: str | None) -> dict[str, Any]:
        return {"skip": dict(params), "image": image_id}

    def bring_back(self, params: Mapping[str, Any], image_id: str) -> dict[str, Any]:
        return {"back": dict(params), "image": image_id}

    def finish_case(self, params: Mapping[str, Any], image_id: str) -> dict[str, Any]:
        return {"finish": dict(params), "image": image_id}

    def cases(self) -> dict[str, Any]:
        return {"drafts": []}


class App:
    """The part of an app that these routes use."""

    datastore = Store()
    cases = Cases()


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setattr(case_routes, "application", App)
    app = FastAPI()
    app.router.routes[:0] = case_routes.router.routes
    return TestClient(app)


@pytest.mark.parametrize(
    ("address", "body", "answer"),
    [
        ("skip", None, {"skip": {}, "image": None}),
        ("skip", {"client_id": "ann", "skip": 3}, {"skip": {"client_id": "ann", "skip": 3}, "image": None}),
        ("skip", {"image": "case7", "reason": "cut"}, {"skip": {"reason": "cut"}, "image": "case7"}),
        ("bring-back", {"image": "case7", "client_id": "ann"}, {"back": {"client_id": "ann"}, "image": "case7"}),
        ("finish", {"image": "case7"}, {"finish": {}, "image": "case7"}),
    ],
)
def test_requests_about_cases_are_passed_on(
    client: TestClient, address: str, body: Any, answer: dict[str, Any]
) -> None:
    response = client.post(f"/activelabel/{address}", json=body)
    assert (response.status_code, response.json()) == (200, answer)


@pytest.mark.parametrize(
    ("address", "body", "status", "line"),
    [
        ("skip", {"image": "../x"}, 404, "there is no image '../x'"),
        ("skip", {"who": "ann"}, 422, "who: Extra inputs are not permitted"),
        ("skip", {"client_id": "a\nb"}, 422, "client_id: expected a name"),
        ("bring-back", {}, 422, "image: Field required"),
        ("finish", {"image": ""}, 422, "image: String should have at least 1 character"),
        ("finish", {"image": "case8"}, 404, "there is no image 'case8'"),
    ],
)
def test_impossible_requests_about_cases_are_refused_in_one_line(
    client: TestClient, address: str, body: Any, status: int, line: str
) -> None:
    response = client.post(f"/activelabel/{address}", json=body)
    assert (response.status_code, response.json()["detail"].startswith(line)) == (status, True)


def test_the_states_of_the_cases_are_listed(client: TestClient) -> None:
    assert client.get("/activelabel/cases").json() == {"drafts": []}
