"""Routes for logging in and out: login page, token routes for Slicer and scripts, and login provider."""

from typing import Annotated
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from activelabel.errors import ActiveLabelError, NotFoundError, NotLoggedInError, TooManyError
from activelabel.login.identity import Identity, asking
from activelabel.login.provider import new_journey
from activelabel.server.access import is_page
from activelabel.server.login import cookies
from activelabel.server.login.gate import SCOPE, Login
from activelabel.server.routes.one_line_route import AnyUser, OneLineRoute
from activelabel.server.routes.pages import render_page
from activelabel.server.status import status_of

router = APIRouter(route_class=OneLineRoute)

LONGEST_FIELD = 1000
Field = Annotated[str, Form(max_length=LONGEST_FIELD)]


@router.get("/login", include_in_schema=False)
def login_page(request: Request, next: str = "/") -> Response:
    """Show the login page."""
    login = _login(request)
    return _go(request, "/") if not login.is_on() else _login_page(request, login, next)


@router.post("/login", include_in_schema=False)
def log_in(request: Request, name: Field = "", password: Field = "", next: Field = "/") -> Response:
    """Log in with the form of the login page."""
    login = _login(request)
    if login.provider is not None:
        raise NotFoundError("names and passwords are the login provider's: open /login")
    try:
        who = login.log_in(name.strip(), password, _machine(request))
    except (NotLoggedInError, TooManyError) as error:
        return _login_page(request, login, next, error)
    return _welcome(request, login, who, _inside(next))


@router.post("/logout", include_in_schema=False)
def log_out(request: Request) -> Response:
    """End the session on the server and in the browser."""
    login = _login(request)
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    shown = cookies.session_tokens(request.headers.get("cookie", ""))
    for token in [*shown, bearer.strip()] if scheme.lower() == "bearer" else shown:
        login.sessions.end(token)
    response = _go(request, "/login")
    cookies.clear_session(response, request)
    return response


@router.get("/login/start", include_in_schema=False)
def leave_for_provider(request: Request, next: str = "/") -> Response:
    """Redirect a browser to the login provider."""
    provider = _login(request).provider
    if provider is None:
        raise NotFoundError("this server has no login provider: open /login")
    journey = new_journey(_inside(next))
    response = RedirectResponse(provider.departure(journey, _back(request)), 303)
    cookies.set_journey(response, request, journey)
    return response


@router.get("/login/callback", include_in_schema=False)
def come_back(request: Request, state: str = "", code: str = "", error: str = "", iss: str = "") -> Response:
    """Log in a browser that returns from the login provider, which may name itself as `iss` (RFC 9207)."""
    login, journey = _login(request), cookies.journey_of(request)
    if login.provider is None:
        raise NotFoundError("this server has no login provider: open /login")
    try:
        if journey is None:
            raise NotLoggedInError("this login was not begun in this browser, or long ago: begin it again")
        if iss and iss.rstrip("/") != login.provider.realm:
            raise NotLoggedInError("the browser comes from another login provider: begin the login again")
        if error or not code:
            raise NotLoggedInError(f"the login provider refuses this login: {error[:80] or 'it gives no reason'}")
        who = login.provider.arrival(journey, state, code, _back(request))
    except NotLoggedInError as refused:
        response = _login_page(request, login, journey.then if journey else "/", refused)
    else:
        # The browser counts this as a redirect from another site, which may only open pages.
        then = _inside(journey.then)
        response = _welcome(request, login, who, then if is_page(urlsplit(then).path) else "/")
    cookies.clear_journey(response, request)
    return response


@router.get("/auth/")
def login_kind(request: Request) -> dict[str, object]:
    """Tell whether a client has to log in; Slicer asks this first."""
    login = _login(request)
    provider = login.provider
    return {
        "enabled": login.is_on(),
        "client_id": provider.client_id if provider else None,
        "realm": provider.realm if provider else None,
    }


@router.post("/auth/token")
def give_token(
    request: Request, username: Field, password: Field, grant_type: Field = "password"
) -> dict[str, str | int]:
    """Give Slicer or a script a token for a name and a password. `POST /logout` with the token ends it."""
    login = _login(request)
    if not login.is_on():
        raise NotFoundError("nobody has to log in here")
    if grant_type != "password":
        raise NotLoggedInError(f"grant_type: expected password, got {grant_type[:80]!r}")
    who = login.log_in(username, password, _machine(request))
    lasts = login.sessions.times.lasts
    token = login.sessions.begin(who, lasts)
    return {"access_token": token, "token_type": "Bearer", "expires_in": int(lasts.total_seconds())}


@router.get("/auth/token/valid")
def token_is_valid(user: AnyUser) -> dict[str, object]:
    """Tell whose token the request has; 401 for an invalid one."""
    who = asking.get()
    return {**user.model_dump(), **({} if who is None else {"roles": [who.role.word]})}


def _login(request: Request) -> Login:
    found: Login = request.scope[SCOPE]
    return found


def _login_page(request: Request, login: Login, then: str, error: ActiveLabelError | None = None) -> Response:
    page = render_page(
        "login.html",
        title="Log in",
        root=cookies.root_of(request),
        next=_inside(then),
        start=f"{cookies.root_of(request)}/login/start?next={quote(_inside(then), safe='')}",
        provider=urlsplit(login.provider.realm).hostname if login.provider else None,
        error=str(error) if error else None,
    )
    page.status_code = status_of(error) if error else 200
    page.headers["cache-control"] = "no-store"
    if isinstance(error, TooManyError) and error.seconds is not None:
        page.headers["retry-after"] = str(error.seconds)
    return page


def _welcome(request: Request, login: Login, who: Identity, then: str) -> Response:
    response = _go(request, then)
    times = login.sessions.times
    token = login.sessions.begin(who, times.in_browser)
    cookies.set_session(response, request, token, int(times.lasts.total_seconds()))
    return response


def _go(request: Request, path: str) -> Response:
    response = RedirectResponse(f"{cookies.root_of(request)}{path}", 303)
    response.headers["cache-control"] = "no-store"
    return response


def _inside(path: str) -> str:
    """The path if it is one of this server, else that of the start page."""
    inside = path.startswith("/") and not path.startswith(("//", "/\\", "/login")) and path.isprintable()
    return path if inside else "/"


def _back(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}{cookies.root_of(request)}/login/callback"


def _machine(request: Request) -> str:
    return request.client.host if request.client else ""
