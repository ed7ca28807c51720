"""Who may talk to the server at all: the door in front of every route.

The host listens on all addresses, has no login by default and lets any web page call it. This wrapper stands in front
of the whole application. Without the host's login it answers this machine only, and a browser only when the page comes
from the server itself or from an origin that was allowed by name. What it answers tells the browser to load nothing
from anywhere else.
"""

import ipaddress
import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",  # OHIF compiles its decoders and starts its workers so
        "worker-src 'self' blob:",
        "connect-src 'self' blob: data:",
        "img-src 'self' data: blob:",
        "style-src 'self' 'unsafe-inline'",
        "font-src 'self' data:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    ]
)
"""What pages of this server may load and where they may send: nothing leaves the machine."""
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
]
PAGES = ("/", "/ohif", "/docs", "/login")
"""What a link on another page may open; an address below one of them too."""


class AccessGuard:
    """ASGI wrapper that answers 403, with one line, whom `refusal` refuses, and sends `HEADERS` with every answer."""

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
            reason = cross_site_refusal(scope["method"], scope["path"], headers, self._allowed_origins)
        if reason is None:
            await self._app(scope, receive, _with_headers(send))
            return
        body = json.dumps({"detail": reason}).encode()
        start: dict[str, Any] = {
            "type": "http.response.start",
            "status": 403,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                *HEADERS,
            ],
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
    if origin and origin.lower() not in allowed_origins and _netloc(origin) != host.lower():
        return f"a page from '{origin}' may not use this server: start with --conf allowed_origins {origin}"
    return None


def cross_site_refusal(
    method: str, path: str, headers: Mapping[str, str], allowed_origins: frozenset[str]
) -> str | None:
    """Why a request that a page of another site made a browser send is refused, or None.

    A GET sends no `Origin`, yet may do something: make an archive of all images, read logs. A browser says by
    `Sec-Fetch-Site` whose page asked. Only a link to one of `PAGES` may come from elsewhere.
    """
    site = headers.get("sec-fetch-site", "none")
    if site in ("none", "same-origin") or headers.get("origin", "").lower() in allowed_origins:
        return None
    opens_page = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    if method in ("GET", "HEAD") and opens_page and is_page(path):
        return None
    return "a page of another site may not use this server: open its address yourself"


def is_page(path: str) -> bool:
    """Whether an address is that of a page that people open, or lies below one."""
    return path == "/" or any(path == page or path.startswith(f"{page}/") for page in PAGES if page != "/")


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            there = {name.lower() for name, _ in message.get("headers", [])}
            added = [header for header in HEADERS if header[0] not in there]
            message = {**message, "headers": [*message.get("headers", []), *added]}
        await send(message)

    return send_with_headers


def _netloc(origin: str) -> str | None:
    """Host and port of an origin; None for one that is none, as an attacker may send."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _hostname(host: str) -> str:
    """The name in a `Host` header; a text that is none stays itself, and so is nobody's."""
    try:
        return urlsplit(f"//{host}").hostname or host
    except ValueError:
        return host


def _is_loopback(address: str) -> bool:
    if address in ("localhost", ""):  # a unix socket has no address
        return True
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback
