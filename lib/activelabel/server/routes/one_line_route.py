"""Parts that all routes share: the current user, and errors that become a 4xx with one line."""

import errno
import logging
from collections.abc import Callable, Coroutine
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import Depends, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from monailabel.config import settings as host_settings
from monailabel.endpoints.user.auth import DEFAULT_USER, User
from monailabel.interfaces.exception import MONAILabelException
from starlette.exceptions import HTTPException as HostHTTPException

from activelabel.data.files.writing import CANNOT_BE_WRITTEN
from activelabel.errors import (
    ActiveLabelError,
    NotLoggedInError,
    TooManyError,
)
from activelabel.login.identity import asking
from activelabel.project.client_kind import client_kind, kind_of
from activelabel.server.actions.ahead.requests import requests
from activelabel.server.client_info import (
    NAME_COOKIE,
    PROJECT_HEADER,
    READER_HEADER,
    client_address,
    cookie_name,
    require_project,
    require_reader,
)
from activelabel.server.routes.request_checks import in_known_spelling
from activelabel.server.routes.served import application
from activelabel.server.status import status_of

logger = logging.getLogger(__name__)

FULL = "the disk is full, so that nothing can be kept: free some room; what was kept before is safe"
READ_ONLY = "the disk cannot be written, so that nothing can be kept: tell whoever runs the server"

LONGEST_LINE = 600
_NO_JSON = "the body: expected JSON in UTF-8, nested at most some hundred times deep, got other bytes: send it again"

_HOST_ROLES = [
    host_settings.MONAI_LABEL_AUTH_ROLE_ADMIN,
    host_settings.MONAI_LABEL_AUTH_ROLE_REVIEWER,
    host_settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR,
    host_settings.MONAI_LABEL_AUTH_ROLE_USER,
]


async def current_user() -> User:
    """The user for the host's routes, with all of the host's roles: permissions are checked before, by `server.access`.

    Raises:
        NotLoggedInError: the request has no user, and the host has a login.
    """
    who = asking.get()
    if who is not None:
        return User(username=who.name, name=who.name, roles=_HOST_ROLES)
    if host_settings.MONAI_LABEL_AUTH_ENABLE:
        raise NotLoggedInError("log in first")
    return DEFAULT_USER


AnyUser = Annotated[User, Depends(current_user)]
"""The user of the request. The table in `server.login.roles`, not the route, decides about permissions."""


class OneLineRoute(APIRoute):
    """A route that answers user errors with a 4xx and one line, and records the client's address and kind."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the route's handler."""
        handle = _counted(super().get_route_handler())

        async def handle_in_one_line(request: Request) -> Response:
            client_address.set(request.client.host if request.client else "")
            cookie_name.set(unquote(request.cookies.get(NAME_COOKIE, "")).strip())
            client_kind.set(kind_of(request.headers))
            try:
                if b"%" in (query := request.scope["query_string"]):
                    request.scope["query_string"] = in_known_spelling(query, _lists)
                require_project(request.headers.get(PROJECT_HEADER), _identity)
                require_reader(request.headers.get(READER_HEADER))
                return await handle(request)
            except ActiveLabelError as error:
                raise HTTPException(status_of(error), one_line(str(error)), _when_again(error)) from error
            except OSError as error:
                if error.errno in CANNOT_BE_WRITTEN:
                    logger.error("%s %s: %s", request.method, request.url.path, error)
                    line = FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else READ_ONLY
                    raise HTTPException(507, line) from error
                raise
            except MONAILabelException as error:
                raise HTTPException(400, one_line(str(error.msg))) from error
            except HostHTTPException as error:
                if isinstance(error.__cause__, RecursionError | UnicodeDecodeError):  # in FastAPI's own words
                    raise HTTPException(400, _NO_JSON) from error
                raise
            except RequestValidationError as error:
                raise HTTPException(422, one_line(_first_problem(error))) from error

        return handle_in_one_line


def _counted(handle: Callable[[Request], Coroutine[Any, Any, Response]]) -> Callable[[Request], Any]:
    """A handler whose requests count as under way."""

    async def handle_counted(request: Request) -> Response:
        with requests.one():
            return await handle(request)

    return handle_counted


def _lists(image_id: str) -> bool:
    return application().datastore.lists(image_id)


def _identity() -> str:
    """The identity of the project that is served."""
    return application().project.identity


def _when_again(error: ActiveLabelError) -> dict[str, str] | None:
    """The `Retry-After` header; None if waiting does not help."""
    if isinstance(error, TooManyError) and error.seconds is not None:
        return {"Retry-After": str(error.seconds)}
    return None


def one_line(text: str) -> str:
    """The text in one line, without unprintable characters that a client may have sent, and with a limited length."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…"


def login() -> dict[str, str]:
    """The logged-in user as params of a request, which override the name that the client sends.

    Empty if nobody has to log in.
    """
    who = asking.get()
    return {} if who is None else {"user": who.name, "client_id": who.name}


def _first_problem(error: RequestValidationError) -> str:
    """The first problem in the form of a request, and its place."""
    problem = error.errors()[0]
    place, *names = problem["loc"]
    where = ".".join(str(name) for name in names if isinstance(name, str)) or f"the {place}"
    got = "" if problem["type"] in ("missing", "json_invalid") else f", got {str(problem.get('input'))[:100]}"
    return f"{where}: {problem['msg']}{got}"
