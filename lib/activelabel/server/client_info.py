"""Who is asking, and what a client says of a label."""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from activelabel.annotation.label_info import LabelInfo
from activelabel.errors import InvalidInputError
from activelabel.login.identity import asking

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


def read_label_info(info: Mapping[str, Any]) -> LabelInfo:
    """What a client's params say of a label.

    Raises:
        InvalidInputError: one of them is not what it must be.
    """
    return LabelInfo(
        annotator_of(info),
        _segment_names(info),
        info.get("annotated_slices"),
        _said(info, "finished"),
        bool(_said(info, "confirmed")),
    )


def _said(info: Mapping[str, Any], key: str) -> bool | None:
    """What a client said by yes or no; None if nothing."""
    said = info.get(key)
    if said is not None and not isinstance(said, bool):
        raise InvalidInputError(f"params: expected {key} to be true or false, got {str(said)[:80]!r}")
    return said


def _segment_names(info: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Names of a client's segments in the order of the mask values, or None if it sent none.

    Slicer sends `label_info` as a list of `{name, idx}`. Its `idx` also counts segments that it skipped, so only the
    position in the list says which value a segment has.
    """
    entries = info.get("label_info")
    if not entries:
        return None
    try:
        return tuple(str(entry["name"]) for entry in entries)
    except (TypeError, KeyError) as error:
        raise InvalidInputError(
            f'params: expected label_info like [{{"name": "liver", "idx": 1}}], got {entries!r}'
        ) from error
