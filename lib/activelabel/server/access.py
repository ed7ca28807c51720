"""Access checks in front of every route: address, origin and login.

The host listens on all addresses, has no login by default and lets any web page call it. This wrapper encloses the
whole application. If no login is required, it answers only this machine, and a browser only if the page comes from
the server itself or from an allowed origin. If there are users or a login provider, it checks the login and the
permission for each request. Headers of every answer tell the browser to load nothing from other sites.
"""

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from anyio import CapacityLimiter, to_thread
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from activelabel.errors import ActiveLabelError
from activelabel.login.identity import asking
from activelabel.server.login.gate import SCOPE, Login
from activelabel.server.login.loopback import is_loopback
from activelabel.server.login.refusals import Refusal, refusal_line, refusal_of
from activelabel.server.status import status_of

POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",  # OHIF compiles decoders and starts workers this way
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
"""Content security policy: pages of this server load from and send to this server only."""
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
]
PAGES = ("/", "/ohif", "/docs", "/login")
"""Paths that a link on another site may open, with all paths below them."""


LOGINS_AT_ONCE = 8
"""Number of threads for logins, which are separate so that a login does not wait for saving and inference."""


class AccessGuard:
    """ASGI wrapper that answers requests without access with a refusal, and adds `HEADERS` to every answer.

    `login` checks users if a login is required; then other machines are answered too.
    """

    def __init__(
        self, app: ASGIApp, *, local_only: bool, allowed_origins: Iterable[str], login: Login | None = None
    ) -> None:
        self._app = app
        self._local_only = local_only
        self._allowed_origins = frozenset(origin.rstrip("/").lower() for origin in allowed_origins)
        self._login = login
        self._turns = CapacityLimiter(LOGINS_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request to the app, or answer it with a refusal."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refused = await self._refusal(scope, headers)
        if refused is None:
            await self._app({**scope, SCOPE: self._login}, receive, _with_headers(send))
            return
        length = (b"content-length", str(len(refused.body)).encode())
        start = {
            "type": "http.response.start", "status": refused.status, "headers": [*refused.headers, length, *HEADERS]
        }  # fmt: skip
        await send(start)
        await send({"type": "http.response.body", "body": refused.body})

    async def _refusal(self, scope: Scope, headers: Mapping[str, str]) -> Refusal | None:
        """The refusal of a request, or None; then `asking` holds its user."""
        try:
            login_required = await self._login_is_on()
        except ActiveLabelError as error:
            return refusal_line(status_of(error), str(error))
        local_only = self._local_only and not login_required
        client = scope["client"][0] if scope.get("client") else ""
        host, origin = headers.get("host", ""), headers.get("origin", "")
        reason = refusal(client, host, origin, local_only=local_only, allowed_origins=self._allowed_origins)
        if reason is None:
            reason = cross_site_refusal(scope["method"], scope["path"], headers, self._allowed_origins)
        if reason is not None:
            return refusal_line(403, reason)
        return await self._ask_who(scope, headers, client) if login_required else None

    async def _login_is_on(self) -> bool:
        if self._login is None or not self._login.may_have_changed:
            return self._login is not None and self._login.is_on()
        return await to_thread.run_sync(self._login.is_on, limiter=self._turns)

    async def _ask_who(self, scope: Scope, headers: Mapping[str, str], client: str) -> Refusal | None:
        assert self._login is not None
        root = scope.get("root_path", "").rstrip("/")
        path, query = scope["path"].removeprefix(root), scope.get("query_string", b"").decode("latin-1")
        request = (scope["method"], path, query, headers, client)
        try:
            asking.set(await to_thread.run_sync(self._login.admit, *request, limiter=self._turns))
        except ActiveLabelError as error:
            address = f"{path}?{query}" if query else path
            basic = self._login.provider is None
            return refusal_of(error, status_of(error), address, root, headers, basic=basic)
        return None


def refusal(client: str, host: str, origin: str, *, local_only: bool, allowed_origins: frozenset[str]) -> str | None:
    """Why a request is refused, or None.

    Args:
        client: address from which the request comes.
        host: its `Host` header, which reveals a page that rebinds its own name to this machine.
        origin: its `Origin` header; empty if no page in a browser sent the request.
        local_only: whether only this machine is answered.
        allowed_origins: lower-case origins of other pages that may call the server.
    """
    if local_only and not is_loopback(client):
        return (
            f"this server answers its own machine only, and the request came from {client}: add users "
            "(`activelabel user add`), or start with --conf allow_remote true where something else asks for a login"
        )
    if local_only and host and not is_loopback(_hostname(host)):
        return f"the request asks for the host '{host}': use localhost, or start with --conf allow_remote true"
    if origin and origin.lower() not in allowed_origins and _netloc(origin) != host.lower():
        if origin.lower() == "null":  # of a file, or a frame that some page shuts in: anybody's
            return (
                "a page that does not say from where it comes (origin null) may not use this server: "
                "open it from a web server"
            )
        return f"a page from '{origin}' may not use this server: start with --conf allowed_origins {origin}"
    return None


def cross_site_refusal(
    method: str, path: str, headers: Mapping[str, str], allowed_origins: frozenset[str]
) -> str | None:
    """Why a request that a page of another site triggered is refused, or None.

    A GET has no `Origin`, yet may have effects: make an archive of all images, read logs. The header `Sec-Fetch-Site`
    tells which site triggered the request. Another site may only link to `PAGES`.
    """
    site = headers.get("sec-fetch-site", "none")
    if site in ("none", "same-origin") or headers.get("origin", "").lower() in allowed_origins:
        return None
    opens_page = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    if method in ("GET", "HEAD") and opens_page and is_page(path):
        return None
    return "a page of another site may not use this server: open its address yourself"


def is_page(path: str) -> bool:
    """Whether a path is one of `PAGES` or lies below one."""
    return path == "/" or any(path == page or path.startswith(f"{page}/") for page in PAGES if page != "/")


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message.get("headers", [])}
            added = [header for header in HEADERS if header[0] not in present]
            message = {**message, "headers": [*message.get("headers", []), *added]}
        await send(message)

    return send_with_headers


def _netloc(origin: str) -> str | None:
    """Host and port of an origin; None for an invalid one, as an attacker may send."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _hostname(host: str) -> str:
    """The host name in a `Host` header; an invalid header is returned unchanged, and matches no name."""
    try:
        return urlsplit(f"//{host}").hostname or host
    except ValueError:
        return host
