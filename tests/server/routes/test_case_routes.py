"""The routes for cases as a client calls them: the requests that they pass on, and those that they refuse."""

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, ClassVar

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from activelabel.server.actions.blind import Blindfold
from activelabel.server.routes import case_routes
from activelabel.store.case_states import CaseState


class Store:
    """A datastore of one image."""

    def lists(self, image_id: str) -> bool:
        return image_id == "case7"

    def look_for(self, image_id: str) -> None:
        """Find no change."""


WHEN = datetime(2026, 1, 1, tzinfo=timezone.utc)


class Cases:
    """Notes the request that it was asked, and answers as the real one does."""

    asked: ClassVar[list[tuple[dict[str, Any], str | None]]] = []

    def skip_case(self, params: Mapping[str, Any], image_id: str | None) -> dict[str, Any]:
        self.asked.append((dict(params), image_id))
        skip = {"id": "case7", "kind": "not now", "reason": "", "annotator": "ann", "when": WHEN.isoformat()}
        return {**skip, "state": CaseState.SKIPPED}

    def bring_back(self, params: Mapping[str, Any], image_id: str) -> dict[str, Any]:
        self.asked.append((dict(params), image_id))
        return {"id": image_id, "state": CaseState.UNSEEN}

    def finish_case(self, params: Mapping[str, Any], image_id: str) -> dict[str, Any]:
        self.asked.append((dict(params), image_id))
        return {"image": image_id, "state": "finished"}

    def cases(self) -> dict[str, Any]:
        return {"drafts": []}


class Blind:
    """Hides nothing."""

    def fold(self) -> Blindfold:
        return Blindfold()


class App:
    """The part of an app that these routes use."""

    datastore = Store()
    cases = Cases()
    blind = Blind()


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setattr(case_routes, "application", App)
    app = FastAPI()
    app.router.routes[:0] = case_routes.router.routes
    return TestClient(app)


@pytest.mark.parametrize(
    ("address", "body", "params", "image", "answer"),
    [
        ("skip", None, {}, None, {"kind": "not now", "state": "skipped"}),
        ("skip", {"client_id": "ann", "skip": 3}, {"client_id": "ann", "skip": 3}, None, {"id": "case7"}),
        ("skip", {"image": "case7", "reason": "cut"}, {"reason": "cut"}, "case7", {"annotator": "ann"}),
        ("bring-back", {"image": "case7", "client_id": "ann"}, {"client_id": "ann"}, "case7", {"state": "unseen"}),
        ("finish", {"image": "case7"}, {}, "case7", {"image": "case7", "state": "finished"}),
    ],
)
def test_requests_about_cases_are_passed_on(
    client: TestClient, address: str, body: Any, params: dict[str, Any], image: str | None, answer: dict[str, Any]
) -> None:
    response = client.post(f"/activelabel/{address}", json=body)
    assert response.status_code == 200
    assert Cases.asked[-1] == (params, image)
    assert answer.items() <= response.json().items()


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
