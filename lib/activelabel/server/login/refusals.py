"""Answers to requests without a valid login: a person gets the login page, a program a status and one line."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from activelabel.errors import ActiveLabelError, NotLoggedInError, TooManyError

Header = tuple[bytes, bytes]


@dataclass(frozen=True)
class Refusal:
    """A complete HTTP answer."""

    status: int
    headers: list[Header]
    body: bytes


def refusal_line(status: int, line: str, *headers: Header) -> Refusal:
    """A refusal as JSON for a program."""
    return Refusal(status, [(b"content-type", b"application/json"), *headers], json.dumps({"detail": line}).encode())


def refusal_of(
    error: ActiveLabelError, status: int, address: str, root: str, headers: Mapping[str, str], *, basic: bool
) -> Refusal:
    """The answer to a request for which the login has raised an error.

    Args:
        error: the error.
        status: HTTP status of the error.
        address: path and query of the request.
        root: path prefix of a proxy.
        headers: headers of the request, with names in lower case.
        basic: whether a program may send name and password with each request.
    """
    if isinstance(error, TooManyError) and error.seconds is not None:
        return refusal_line(status, str(error), (b"retry-after", str(error.seconds).encode()))
    if not isinstance(error, NotLoggedInError):
        return refusal_line(status, str(error))
    if opens_page(headers):
        page = f"{root}/login?next={quote(address, safe='')}"
        return Refusal(303, [(b"location", page.encode()), (b"cache-control", b"no-store")], b"")
    # For `Basic`, a browser would show its own dialog for name and password.
    by_browser = any(name.startswith("sec-fetch-") for name in headers)
    challenge = b'Basic realm="activelabel", charset="UTF-8"' if basic and not by_browser else b"Bearer"
    return refusal_line(status, str(error), (b"www-authenticate", challenge))


def opens_page(headers: Mapping[str, str]) -> bool:
    """Whether the request opens a page in a browser."""
    mode = headers.get("sec-fetch-mode")
    return mode == "navigate" if mode else "text/html" in headers.get("accept", "")
