"""Who is asking: the name under which leases and annotations are kept."""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from activelabel.server.login.identity import asking

client_address: ContextVar[str] = ContextVar("client_address", default="")
"""Address of the machine whose request is being answered; set by the routes."""


def annotator_of(params: Mapping[str, Any]) -> str:
    """The annotator of a request: who has logged in; else their client's `client_id`, or the address of its machine.

    The routes put the name of who has logged in in the place of what a client claims. OHIF sends no `client_id`, so two
    readers at one machine without a login count as one annotator.
    """
    for key in ("client_id", "user"):
        name = params.get(key)
        if isinstance(name, str) and name.strip():
            return name.strip()
    who = asking.get()
    return who.name if who is not None else client_address.get() or "anonymous"
