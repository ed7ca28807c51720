"""The annotator of a request, and the client's information about a label."""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any
from urllib.parse import unquote

from activelabel.annotation.label_info import LabelInfo
from activelabel.errors import AnotherProjectError, AnotherReaderError, InvalidInputError
from activelabel.login.identity import asking

client_address: ContextVar[str] = ContextVar("client_address", default="")
"""Address of the machine that sent the current request; set by the routes."""


NAME_COOKIE = "activelabel_reader"
"""The cookie in which the panel in OHIF keeps the name of its reader, percent-encoded. So every request of the viewer
has it, also those of parts of OHIF that know no reader."""
cookie_name: ContextVar[str] = ContextVar("cookie_name", default="")
"""The name in that cookie of the current request; set by the routes."""
READER_HEADER = "X-ActiveLabel-Reader"
"""The header in which our clients say whose work they send: the name, percent-encoded, or nothing for no name. All tabs
of a browser share one login and one cookie, so the server may take a page for somebody else than the one who draws."""
PROJECT_HEADER = "X-ActiveLabel-Project"
"""The header in which our clients say of which project their work is: its identity, as `GET /info/` has it."""


def require_reader(stated: str | None) -> None:
    """Refuse the work of one reader as that of another, who has logged in or changed the name since.

    Args:
        stated: the header's value; None from a client that does not say whose work it sends.

    Raises:
        AnotherReaderError: the server takes the client for somebody else.
    """
    if stated is None:
        return
    who, name = asking.get(), unquote(stated).strip()
    taken_for = cookie_name.get() if who is None else who.name
    if name != taken_for:
        now = f"{taken_for} is logged in" if who is not None else f"the name is now {taken_for or 'empty'}"
        raise AnotherReaderError(
            f"this is the work of {name or 'somebody without a name'}, and {now}: nothing of it is kept as theirs"
        )


def require_project(stated: str | None, identity: Callable[[], str]) -> None:
    """Refuse the work of one project in another one, which is served at the same address since.

    Args:
        stated: the header's value; None from a client that does not say of which project it is.
        identity: returns the identity of the project that is served.

    Raises:
        AnotherProjectError: it is not that of the client.
    """
    if stated is not None and stated != identity():
        raise AnotherProjectError(
            "another project than yours is served at this address now, and nothing of your work is kept in it: connect "
            "or load the page anew to work on this one; what was drawn waits for its own"
        )


def annotator_of(params: Mapping[str, Any]) -> str:
    """The annotator of a request: the logged-in user, else the `client_id`, the name in the cookie, or the address.

    The routes replace the client's `client_id` by the name of the logged-in user. Two annotators at one machine without
    a login and without names count as one.
    """
    for key in ("client_id", "user"):
        name = params.get(key)
        if isinstance(name, str) and name.strip():
            return name.strip()
    who = asking.get()
    return who.name if who is not None else cookie_name.get() or client_address.get() or "anonymous"


def read_label_info(info: Mapping[str, Any]) -> LabelInfo:
    """Read the information about a label from a client's params.

    Raises:
        InvalidInputError: a param has a wrong type.
    """
    names, numbers = _segments(info)
    return LabelInfo(
        annotator_of(info),
        names,
        info.get("annotated_slices"),
        _yes_or_no(info, "finished"),
        bool(_yes_or_no(info, "confirmed")),
        numbers,
        bool(_yes_or_no(info, "unanswered")),
    )


def _yes_or_no(info: Mapping[str, Any], key: str) -> bool | None:
    """The value of a boolean param; None if the client sent none."""
    value = info.get(key)
    if value is not None and not isinstance(value, bool):
        raise InvalidInputError(f"params: expected {key} to be true or false, got {str(value)[:80]!r}")
    return value


def _segments(info: Mapping[str, Any]) -> tuple[tuple[str, ...] | None, tuple[int, ...] | None]:
    """Names of a client's segments in the order of the list, and their numbers if these rise and are not 1 to N.

    The names are None if the client sent none. Slicer sends `label_info` as a list of `{name, idx}` with rising `idx`,
    and the values of its mask are places in the list, as `idx` also counts segments that it skipped. Other clients mean
    values by `idx`. If the list is in another order, its numbers must be 1 to N, and are values.

    Raises:
        InvalidInputError: it is no such list; or `idx` does not rise, and its numbers are not 1 to N, each once.
    """
    entries = info.get("label_info")
    if not entries:
        return None, None
    try:
        names = tuple(str(entry["name"]) for entry in entries)
        numbers = tuple(entry.get("idx") for entry in entries)
    except (TypeError, KeyError, AttributeError) as error:
        raise InvalidInputError(
            f'params: expected label_info like [{{"name": "liver", "idx": 1}}], got {entries!r}'
        ) from error
    in_order = tuple(range(1, len(names) + 1))
    if not all(isinstance(number, int) for number in numbers) or numbers == in_order:
        return names, None
    if list(numbers) == sorted(set(numbers)):
        return names, numbers
    if sorted(numbers) != list(in_order):
        raise InvalidInputError(
            f"params: label_info gives {', '.join(map(repr, names))} the idx {', '.join(map(str, numbers))}, expected "
            f"1 to {len(names)}, each once: number the segments by their values in the mask"
        )
    return tuple(name for _, name in sorted(zip(numbers, names, strict=True))), None
