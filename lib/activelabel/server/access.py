"""Who may talk to the server at all: the door in front of every route.

The host listens on all addresses, has no login by default and lets any web page call it. This wrapper stands in front
of the whole application. Without the host's login it answers this machine only, and a browser only when the page comes
from the server itself or from an origin that was allowed by name.
"""

import ipaddress
import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send


class AccessGuard:
    """ASGI wrapper that answers 403, with one line, whom `refusal` refuses."""

    def __init__(self, app: ASGIApp, *, local_only: bool, allowed_origins: Iterable[str]) -> None:
        self._app = app
        self._local_only = local_only
        self._allowed_origins = frozenset(origin.rstrip("/").lower() for origin in allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with 403."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        client = scope.get("client")
        reason = self._refusal(client[0] if client else "", headers.get("host", ""), headers.get("origin", ""))
        if reason is None:
            await self._app(scope, receive, send)
            return
        body = json.dumps({"detail": reason}).encode()
        start: dict[str, Any] = {
            "type": "http.response.start",
            "status": 403,
            "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())],
        }
        await send(start)
        await send({"type": "http.response.body", "body": body})

    def _refusal(self, client: str, host: str, origin: str) -> str | None:
        return refusal(client, host, origin, local_only=self._local_only, allowed_origins=self._allowed_origins)


def refusal(client: str, host: str, origin: str, *, local_only: bool, allowed_origins: frozenset[str]) -> str | None:
    """Why a request is refused, or None.

    Args:
        client: the address the request comes from.
        host: its `Host` header. A page that rebinds its own name to this machine is seen by it.
        origin: its `Origin` header; empty when no browser page sends it.
        local_only: only this machine is answered.
        allowed_origins: lower-case origins of pages that may call, besides the server's own.
    """
    if local_only and not _is_loopback(client):
        return (
            f"this server answers its own machine only, and the request came from {client}: turn on the host's login, "
            "or start with --conf allow_remote true on a network you trust"
        )
    if local_only and host and not _is_loopback(_hostname(host)):
        return f"the request asks for the host '{host}': use localhost, or start with --conf allow_remote true"
    if origin and origin.lower() not in allowed_origins and urlsplit(origin).netloc.lower() != host.lower():
        return f"a page from '{origin}' may not use this server: start with --conf allowed_origins {origin}"
    return None


def _hostname(host: str) -> str:
    return urlsplit(f"//{host}").hostname or ""


def _is_loopback(address: str) -> bool:
    if address in ("localhost", ""):  # a unix socket has no address
        return True
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback
