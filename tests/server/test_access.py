"""Who is answered: by hand, and through the wrapper as a web server calls it."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from activelabel.server.access import AccessGuard, refusal

HERE = "127.0.0.1"


@pytest.mark.parametrize(
    ("client", "host", "origin", "said"),
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
        (HERE, "localhost:8000", "null", "may not use this server"),
    ],
)
def test_local_server_answers_its_own_machine_and_its_own_pages(
    client: str, host: str, origin: str, said: str | None
) -> None:
    reason = refusal(client, host, origin, local_only=True, allowed_origins=frozenset({"http://viewer.example"}))
    assert reason is None if said is None else (reason is not None and said in reason)


def test_remote_server_answers_other_machines_but_not_other_pages() -> None:
    def refused(host: str, origin: str) -> bool:
        return refusal("10.1.2.3", host, origin, local_only=False, allowed_origins=frozenset()) is not None

    assert not refused("ward.example:8000", "")
    assert not refused("ward.example:8000", "http://ward.example:8000")
    assert refused("ward.example:8000", "http://evil.example")


def answer_of(scope: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the guard sends for a request; the application behind it sends one message of its own."""
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
    scope = {"type": "http", "client": (HERE, 1), "headers": [(b"Host", b"localhost")]}
    assert answer_of(scope) == [{"type": "application"}]
    refused = answer_of({**scope, "client": ("10.1.2.3", 1)})
    assert refused[0]["status"] == 403
    assert b"10.1.2.3" in refused[1]["body"]


def test_guard_lets_the_servers_own_life_cycle_pass() -> None:
    assert answer_of({"type": "lifespan"}) == [{"type": "application"}]
