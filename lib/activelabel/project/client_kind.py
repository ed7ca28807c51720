"""Which client is asking, as far as a request tells: it decides how slices are counted in what people read.

Slicer's module and a script use one and the same client, which names no program: nothing tells them apart. OHIF runs in
a browser, and browsers say so.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from enum import Enum

_BROWSERS = "mozilla/"
"""How every browser's name of itself begins."""


class ClientKind(Enum):
    """A client by how it counts slices."""

    OHIF = "OHIF"
    OTHER = "Slicer, or a script"


client_kind: ContextVar[ClientKind] = ContextVar("client_kind", default=ClientKind.OTHER)
"""Of the request that is being answered; set by the routes."""


def kind_of(headers: Mapping[str, str]) -> ClientKind:
    """Which client a request with these headers, their names in lower case, comes from."""
    return ClientKind.OHIF if headers.get("user-agent", "").lower().startswith(_BROWSERS) else ClientKind.OTHER
