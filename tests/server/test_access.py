"""The requests that are answered, by hand and through the wrapper as a web server calls it."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from fastapi.testclient import TestClient
from monailabel.app import app as host

from activelabel.server.access import AccessGuard, cross_site_refusal, refusal
from activelabel.server.client_info import PROJECT_HEADER, READER_HEADER

HERE = "127.0.0.1"


@pytest.mark.parametrize(
    ("client", "host", "origin", "expected"),
    [
        (HERE, "localhost:8000", "", None),
        ("::1", "[::1]:8000", "", None),
        ("::ffff:127.0.0.1", "127.0.0.1:8000", "", None),
        (HERE, "localhost:8000", "http://localhost:8000", None),
        (HERE, "localhost:8000", "http://viewer.example", None),  # allowed by name
        ("10.1.2.3", "localhost:8000", "", "its own machine only"),
        (HERE, "evil.example:8000", "http://evil.example:8000", "asks for the host"),  # a rebound name
        (HERE, "localhost:8000", "http://evil.example", "may not use this server"),
        (HERE, "localhost:8000", "http://localhost:3000", "may not use this server"),
        (HERE, "localhost:8000", "null", "does not say from where it comes (origin null) may not use this server"),
    ],
)
def test_local_server_answers_its_own_machine_and_its_own_pages(
    client: str, host: str, origin: str, expected: str | None
) -> None:
    reason = refusal(client, host, origin, local_only=True, allowed_origins=frozenset({"http://viewer.example"}))
    assert reason is None if expected is None else (reason is not None and expected in reason)


def test_remote_server_answers_other_machines_but_not_other_pages() -> None:
    def refused(host: str, origin: str) -> bool:
        return refusal("10.1.2.3", host, origin, local_only=False, allowed_origins=frozenset()) is not None

    assert not refused("ward.example:8000", "")
    assert not refused("ward.example:8000", "http://ward.example:8000")
    assert refused("ward.example:8000", "http://evil.example")


def answer_of(scope: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the messages that the guard sends for a request; the application behind it sends one message."""
    sent: list[dict[str, Any]] = []

    async def application(scope: object, receive: object, send: Any) -> None:
        await send({"type": "application"})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {}

    guard = AccessGuard(application, local_only=True, allowed_origins=())  # type: ignore[arg-type]
    asyncio.run(guard(dict(scope), receive, send))  # type: ignore[arg-type]
    return sent


def test_guard_passes_on_and_refuses() -> None:
    scope = {"type": "http", "method": "GET", "path": "/", "client": (HERE, 1), "headers": [(b"Host", b"localhost")]}
    assert answer_of(scope) == [{"type": "application"}]
    refused = answer_of({**scope, "client": ("10.1.2.3", 1)})
    assert refused[0]["status"] == 403
    assert b"10.1.2.3" in refused[1]["body"]


def test_guard_lets_the_servers_own_life_cycle_pass() -> None:
    assert answer_of({"type": "lifespan"}) == [{"type": "application"}]


def test_a_viewer_that_is_named_may_send_the_headers_of_our_panels_and_no_other_page_may() -> None:
    guard = AccessGuard(host, local_only=True, allowed_origins=["https://viewer.example"])
    client = TestClient(guard, base_url="http://localhost:8000", client=(HERE, 1))
    asks = {
        "access-control-request-method": "PUT",
        "access-control-request-headers": f"{PROJECT_HEADER}, {READER_HEADER}",
    }
    allowed = client.options("/datastore/label", headers={"origin": "https://viewer.example", **asks})
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "https://viewer.example"
    assert allowed.headers["access-control-allow-headers"] == f"{PROJECT_HEADER}, {READER_HEADER}"
    assert "PUT" in allowed.headers["access-control-allow-methods"]
    assert client.options("/datastore/label", headers={"origin": "https://evil.example", **asks}).status_code == 403


@pytest.mark.parametrize("header", [b"host", b"origin"])
def test_headers_that_no_address_can_be_read_from_are_refused(header: bytes) -> None:
    headers = {b"host": b"localhost", header: b"http://[evil" if header == b"origin" else b"[evil"}
    scope = {"type": "http", "method": "GET", "path": "/info/", "client": (HERE, 1), "headers": list(headers.items())}
    assert answer_of(scope)[0]["status"] == 403


CROSS = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}
LINK = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


@pytest.mark.parametrize(
    ("method", "path", "headers", "passes"),
    [
        ("GET", "/datastore/dataset", CROSS, False),  # an <img> on another page whose address would archive all images
        ("GET", "/datastore/dataset", LINK, False),
        ("GET", "/logs/", LINK, False),
        ("GET", "/info/", {**CROSS, "sec-fetch-site": "same-site"}, False),  # another port of this machine
        ("GET", "/", LINK, True),
        ("GET", "/ohif/monai-label", LINK, True),
        ("GET", "/ohifx", LINK, False),
        ("GET", "/ohif/app.js", CROSS, False),
        ("POST", "/", LINK, False),
        ("GET", "/", {**LINK, "sec-fetch-dest": "iframe"}, False),
        ("GET", "/datastore/dataset", {"sec-fetch-site": "none"}, True),  # typed by a person
        ("GET", "/datastore/dataset", {"sec-fetch-site": "same-origin"}, True),
        ("GET", "/datastore/dataset", {}, True),  # Slicer, a script
        ("GET", "/info/", {**CROSS, "origin": "http://viewer.example"}, True),  # allowed by name
    ],
)
def test_pages_of_other_sites_may_open_a_page_and_do_nothing(
    method: str, path: str, headers: dict[str, str], passes: bool
) -> None:
    reason = cross_site_refusal(method, path, headers, frozenset({"http://viewer.example"}))
    assert (reason is None) == passes


def test_every_answer_tells_browsers_to_load_nothing_from_elsewhere() -> None:
    scope = {"type": "http", "method": "GET", "path": "/", "client": ("10.1.2.3", 1), "headers": []}
    policy = dict(answer_of(scope)[0]["headers"])[b"content-security-policy"].decode()
    assert "default-src 'self'" in policy
    assert "http" not in policy
    assert "*" not in policy
