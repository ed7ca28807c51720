"""The annotator of a request, for clients with and without a name."""

import json
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, FastAPI, Form
from fastapi.testclient import TestClient
from monailabel.client import MONAILabelClient

from activelabel.annotation.label_info import LabelInfo
from activelabel.errors import InvalidInputError
from activelabel.login.identity import Identity, Role, asking
from activelabel.server.client_info import annotator_of, read_label_info
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
