"""The form of a refusal: its status, and one line whatever text the client has sent."""

import errno
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from monailabel.interfaces.exception import MONAILabelError, MONAILabelException
from small_studies import TINY_RECIPE, write_image

from activelabel.errors import (
    ActiveLabelError,
    AnotherProjectError,
    AnotherReaderError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    NotReadyError,
    StorageFullError,
    TooManyError,
    UnavailableError,
)
from activelabel.project.client_kind import client_kind
from activelabel.project.opening import open_project
from activelabel.server.client_info import PROJECT_HEADER, client_address
from activelabel.server.routes import one_line_route
from activelabel.server.routes.one_line_route import LONGEST_LINE, OneLineRoute, one_line


@given(st.text(st.characters(codec=None), max_size=2000))
def test_one_line_is_one_short_line_that_can_be_sent(text: str) -> None:
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert len(line) <= LONGEST_LINE + 1
    line.encode()  # half a character could not be sent


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("  label 'über':\n\tgone ", "label 'über': gone"),
        ("a\0b\x1b[31mc\u2028d", "a b [31mc d"),
        ("half \ud800 a character", "half a character"),
        ("x" * (LONGEST_LINE + 1), "x" * LONGEST_LINE + "…"),
    ],
)
def test_one_line_of_a_message_by_hand(text: str, line: str) -> None:
    assert one_line(text) == line


def ask(answer: Callable[..., object], **options: object) -> tuple[int, object]:
    """Return the status and detail that a client gets from a route."""
    router = APIRouter(route_class=OneLineRoute)
    router.post("/ask")(answer)
    app = FastAPI()
    app.router.routes[:0] = router.routes
    response = TestClient(app).post("/ask", **options)  # type: ignore[arg-type]
    body = response.json()
    return response.status_code, body["detail"] if isinstance(body, dict) else body


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidInputError("a\nb"), 422),
        (NotFoundError("a\nb"), 404),
        (StorageFullError("a\nb"), 507),
        (TooManyError("a\nb"), 429),
        (NotReadyError("a\nb"), 409),
        (AnotherReaderError("a\nb"), 412),
        (AnotherProjectError("a\nb"), 412),
        (ForbiddenError("a\nb"), 403),
        (UnavailableError("a\nb"), 503),
        (ActiveLabelError("a\nb"), 400),
        (MONAILabelException(MONAILabelError.INVALID_INPUT, "a\nb"), 400),
    ],
)
def test_every_error_of_a_user_has_its_status(error: Exception, status: int) -> None:
    def answer() -> None:
        raise error

    assert ask(answer) == (status, "a b")


def test_a_request_of_the_wrong_form_is_one_line_too() -> None:
    def answer(number: int, params: dict[str, int]) -> str:
        return f"{number} {params}"

    assert ask(answer, params={"number": 1}, json={"a": 2}) == (200, "1 {'a': 2}")
    assert ask(answer, json={}) == (422, "number: Field required")
    assert ask(answer, params={"number": 1}, json=[3]) == (422, "the body: Input should be a valid dictionary, got [3]")
    status, detail = ask(answer, params={"number": "one\ntwo"}, json={})
    assert (status, str(detail).endswith("got one two")) == (422, True)


def test_a_route_knows_whose_machine_it_answers() -> None:
    assert ask(lambda: client_address.get()) == (200, "testclient")


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk is full"),
        (errno.EROFS, "written"),
        (errno.EACCES, "written"),
    ],
)
def test_a_disk_that_takes_no_more_is_507_in_words(number: int, expected: str) -> None:
    def fail() -> None:
        raise OSError(number, "as the system says it", "/srv/secret/place")

    status, detail = ask(fail)
    assert status == 507
    assert expected in str(detail)
    assert "secret" not in str(detail)


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/120.0 Safari/537.36"}, "OHIF"),
        ({"User-Agent": "python-requests/2.32.3"}, "OTHER"),
        ({"User-Agent": ""}, "OTHER"),  # Slicer's module and MONAILabelClient send none
    ],
)
def test_a_route_knows_which_client_it_answers(headers: dict[str, str], kind: str) -> None:
    assert ask(lambda: client_kind.get().name, headers=headers) == (200, kind)


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"image": "\xff"}'])
def test_a_body_that_no_reader_of_json_takes_is_one_line_that_says_so(body: bytes) -> None:
    def answer(body: dict[str, str]) -> None:
        raise AssertionError

    status, line = ask(answer, content=body, headers={"content-type": "application/json"})
    assert status == 400
    assert str(line).startswith("the body: expected JSON in UTF-8, nested at most some hundred times deep, got other")


def test_the_identity_of_the_project_is_asked_of_the_ledger_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(tmp_path / "case.nii.gz")
    project = open_project("", str(tmp_path), {"labels": "ball", "recipe": str(TINY_RECIPE)})
    monkeypatch.setattr(one_line_route, "application", lambda: SimpleNamespace(project=project))
    own = {PROJECT_HEADER: project.identity}
    assert ask(lambda: "kept", headers=own) == (200, "kept")
    monkeypatch.setattr(project.ledger, "fact", lambda name: pytest.fail(f"the ledger is asked for the {name}"))
    assert ask(lambda: "kept", headers=own) == (200, "kept")
    status, line = ask(lambda: "kept", headers={PROJECT_HEADER: "0123456789abcdef"})
    assert (status, str(line).partition(" is")[0]) == (412, "another project than yours")


def test_images_that_cannot_be_listed_at_the_moment_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def lists(image_id: str) -> bool:
        raise UnavailableError(f"{image_id}: the images are being read")

    monkeypatch.setattr(one_line_route, "application", lambda: SimpleNamespace(datastore=SimpleNamespace(lists=lists)))
    assert ask(lambda: "kept", params={"image": "Müller"}) == (503, "Müller: the images are being read")
