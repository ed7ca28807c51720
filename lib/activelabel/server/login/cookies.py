"""The cookies of a login: hidden from scripts, sent over https only if the login used it, not sent by other sites."""

import base64
import json

from starlette.requests import Request, cookie_parser
from starlette.responses import Response

from activelabel.login.provider import Journey

SESSION = "activelabel_session"
JOURNEY = "activelabel_journey"
JOURNEY_SECONDS = 600


def session_tokens(cookie_header: str) -> list[str]:
    """The session tokens in a cookie header. Cookie names end with a port, to separate the servers of one machine."""
    return [value for name, value in cookie_parser(cookie_header).items() if name.startswith(f"{SESSION}_") and value]


def set_session(response: Response, request: Request, token: str, seconds: int) -> None:
    """Set the session cookie with a token."""
    _set(response, request, f"{SESSION}_{_port(request)}", token, seconds, "/")


def clear_session(response: Response, request: Request) -> None:
    """Remove all session cookies that the browser has sent."""
    for name in cookie_parser(request.headers.get("cookie", "")):
        if name.startswith(f"{SESSION}_"):
            _set(response, request, name, "", 0, "/")


def set_journey(response: Response, request: Request, journey: Journey) -> None:
    """Set the cookie that the browser needs on its return from the login provider."""
    text = json.dumps([journey.state, journey.verifier, journey.then])
    value = base64.urlsafe_b64encode(text.encode()).decode()
    _set(response, request, JOURNEY, value, JOURNEY_SECONDS, f"{root_of(request)}/login")


def clear_journey(response: Response, request: Request) -> None:
    """Remove the cookie of a login at the provider."""
    _set(response, request, JOURNEY, "", 0, f"{root_of(request)}/login")


def journey_of(request: Request) -> Journey | None:
    """The journey in the browser's cookie; None without a valid cookie."""
    try:
        values = json.loads(base64.urlsafe_b64decode(request.cookies.get(JOURNEY, "")))
        state, verifier, then = (str(value) for value in values)
    except (ValueError, TypeError):
        return None
    return Journey(state, verifier, then)


def root_of(request: Request) -> str:
    """The path prefix that a proxy adds to this server; usually empty."""
    return str(request.scope.get("root_path", "")).rstrip("/")


def _set(response: Response, request: Request, name: str, value: str, seconds: int, path: str) -> None:
    response.set_cookie(
        name, value, max_age=seconds, path=path, secure=request.url.scheme == "https", httponly=True, samesite="lax"
    )


def _port(request: Request) -> int:
    server = request.scope.get("server")
    return int(server[1] or 0) if server else 0
