"""The annotator of a request, for clients with and without a name."""

import json
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, FastAPI, Form
from fastapi.testclient import TestClient
from monailabel.client import MONAILabelClient

from activelabel.annotation.label_info import LabelInfo
from activelabel.errors import AnotherProjectError, InvalidInputError
from activelabel.login.identity import Identity, Role, asking
from activelabel.server.client_info import annotator_of, read_label_info, require_project
from activelabel.server.routes.one_line_route import OneLineRoute
from activelabel.server.routes.request_checks import check_params, parse_label_params

router = APIRouter(route_class=OneLineRoute)


@router.post("/ask")
def ask(params: dict[str, Any] | None = None) -> str:
    """Read the client's params as the route to the next sample does."""
    check_params(params or {})
    return annotator_of(params or {})


@router.put("/save")
def save(params: Annotated[str, Form()] = "{}") -> str:
    """Read the client's params as the route to labels does."""
    return annotator_of(parse_label_params(params, "case"))


def asks_and_saves_as(
    client: MONAILabelClient, sent: dict[str, Any], machine: str = "10.0.0.7", cookie: str = ""
) -> set[str]:
    """Return the annotators that the server derives from a client's params when it asks and when it saves."""
    app = FastAPI()
    app.router.routes[:0] = router.routes
    http = TestClient(app, client=(machine, 50000), headers={"Cookie": cookie} if cookie else {})
    params = client._update_client_id(dict(sent))
    return {http.post("/ask", json=params).json(), http.put("/save", data={"params": json.dumps(params)}).json()}


def test_the_hosts_client_with_a_name_is_that_annotator_at_every_machine() -> None:
    client = MONAILabelClient("http://server", client_id="ann")
    assert asks_and_saves_as(client, {}) == asks_and_saves_as(client, {"x": 1}, "10.0.0.8") == {"ann"}


def test_the_hosts_client_without_a_name_overwrites_one_and_is_known_by_its_machine() -> None:
    client = MONAILabelClient("http://server")
    assert asks_and_saves_as(client, {"client_id": "ann"}) == asks_and_saves_as(client, {}) == {"10.0.0.7"}


def test_two_nameless_clients_at_one_machine_are_one_annotator_and_at_two_machines_two() -> None:
    one, other = MONAILabelClient("http://server"), MONAILabelClient("http://server")
    assert asks_and_saves_as(one, {}) == asks_and_saves_as(other, {})
    assert asks_and_saves_as(one, {}) != asks_and_saves_as(other, {}, "10.0.0.8")


def test_a_reader_in_ohif_is_known_by_the_name_in_the_cookie_of_its_panel() -> None:
    client = MONAILabelClient("http://server")
    assert asks_and_saves_as(client, {}, cookie="activelabel_reader=J%C3%B6rg%20Ott") == {"Jörg Ott"}
    assert asks_and_saves_as(client, {}, cookie="activelabel_reader=%20") == {"10.0.0.7"}
    named = MONAILabelClient("http://server", client_id="ann")
    assert asks_and_saves_as(named, {}, cookie="activelabel_reader=bob") == {"ann"}


def test_the_login_counts_and_not_the_cookie() -> None:
    before = asking.set(Identity("ann", Role.ANNOTATOR))
    try:
        assert asks_and_saves_as(MONAILabelClient("http://server"), {}, cookie="activelabel_reader=bob") == {"ann"}
    finally:
        asking.reset(before)


def info_of(label_info: object) -> LabelInfo:
    return read_label_info({"client_id": "ann", "label_info": label_info})


def saves(stated: str | None, cookie: str = "") -> tuple[int, object]:
    """Return the status and the answer to a client that states whose work it sends."""
    app = FastAPI()
    app.router.routes[:0] = router.routes
    stating = {} if stated is None else {"X-ActiveLabel-Reader": stated}
    http = TestClient(app, client=("10.0.0.7", 50000), headers={**stating, **({"Cookie": cookie} if cookie else {})})
    answer = http.put("/save")
    return answer.status_code, answer.json()


def test_a_page_whose_name_another_tab_has_changed_is_refused() -> None:
    assert saves("J%C3%B6rg", "activelabel_reader=J%C3%B6rg") == (200, "Jörg")
    assert saves("", "") == (200, "10.0.0.7")
    assert saves("ann", "activelabel_reader=bob") == (
        412,
        {"detail": "this is the work of ann, and the name is now bob: nothing of it is kept as theirs"},
    )
    assert saves("ann", "")[0] == saves("", "activelabel_reader=bob")[0] == 412


def test_a_client_that_does_not_state_whose_work_it_sends_is_served_as_before() -> None:
    assert saves(None, "activelabel_reader=bob") == (200, "bob")
    assert saves(None) == (200, "10.0.0.7")


def test_the_work_of_one_reader_is_refused_where_another_has_logged_in() -> None:
    before = asking.set(Identity("ann@clinic", Role.ANNOTATOR))
    try:
        assert saves("ann%40clinic", "activelabel_reader=bob") == (200, "ann@clinic")
        line = "this is the work of bob, and ann@clinic is logged in: nothing of it is kept as theirs"
        assert saves("bob", "activelabel_reader=bob") == (412, {"detail": line})
        assert saves(None) == (200, "ann@clinic")
    finally:
        asking.reset(before)


def test_work_of_another_project_is_refused_and_a_client_that_names_none_is_served() -> None:
    for stated in (None, "p1"):
        require_project(stated, lambda: "p1")
    with pytest.raises(AnotherProjectError, match="another project than yours is served at this address now"):
        require_project("p2", lambda: "p1")


def names_in(label_info: object) -> tuple[str, ...] | None:
    return info_of(label_info).segment_names


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((1, 2, 3), ("liver", "spleen", "tumour")),
        ((2, 3, 5), ("liver", "spleen", "tumour")),  # values, or Slicer has skipped segments: the mask tells
        ((None, None, None), ("liver", "spleen", "tumour")),
        ((2, 1, 3), ("spleen", "liver", "tumour")),
        ((3, 2, 1), ("tumour", "spleen", "liver")),
    ],
)
def test_names_of_segments_go_by_their_place_unless_the_client_numbers_them_otherwise(
    numbers: tuple[int | None, ...], expected: tuple[str, ...]
) -> None:
    listed = zip(("liver", "spleen", "tumour"), numbers, strict=True)
    assert names_in([{"name": name, **({} if idx is None else {"idx": idx})} for name, idx in listed]) == expected


@pytest.mark.parametrize("numbers", [(2, 2), (3, 1), (1, 0)])
def test_numbers_of_segments_that_cannot_be_values_are_refused(numbers: tuple[int, int]) -> None:
    with pytest.raises(InvalidInputError, match=r"the idx \d, \d, expected 1 to 2, each once: number the segments"):
        names_in([{"name": name, "idx": idx} for name, idx in zip("ab", numbers, strict=True)])


@pytest.mark.parametrize(
    ("numbers", "kept"),
    [((1, 2, 3), None), ((2, 1, 3), None), ((None, None, None), None), ((2, 3, 5), (2, 3, 5)), ((0, 1, 2), (0, 1, 2))],
)
def test_numbers_of_segments_are_kept_where_they_may_be_values_or_places(
    numbers: tuple[int | None, ...], kept: tuple[int, ...] | None
) -> None:
    listed = zip(("liver", "spleen", "tumour"), numbers, strict=True)
    assert info_of([{"name": name, "idx": idx} for name, idx in listed]).segment_numbers == kept
