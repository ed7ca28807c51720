"""The kind of client that sent a request: it decides how slices are counted in texts for people.

Slicer's module and a script use the same HTTP client, which names no program, so they cannot be told apart. OHIF runs
in a browser, which a browser's `User-Agent` shows.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from enum import Enum

_BROWSERS = "mozilla/"
"""The beginning of every browser's `User-Agent`, in lower case."""


class ClientKind(Enum):
    """The kinds of clients, which count slices differently."""

    OHIF = "OHIF"
    OTHER = "Slicer, or a script"


client_kind: ContextVar[ClientKind] = ContextVar("client_kind", default=ClientKind.OTHER)
"""The kind of client of the request that is being answered; set by the routes."""


def kind_of(headers: Mapping[str, str]) -> ClientKind:
    """The kind of client that sent a request with these headers; header names are in lower case."""
    return ClientKind.OHIF if headers.get("user-agent", "").lower().startswith(_BROWSERS) else ClientKind.OTHER
