"""Parses skips, which a client sends with its request for the next case or to the routes of cases."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from activelabel.errors import InvalidInputError
from activelabel.store.cases.skips import CANNOT, NOT_NOW
from activelabel.store.records.queries import SkipKind

LONGEST_REASON = 500
_KINDS: dict[str, SkipKind | None] = {"": None, "no": None, NOT_NOW: NOT_NOW, CANNOT: CANNOT}


FORM_SKIP, FORM_REASON = "skip this case", "reason to skip it"
FORM: dict[str, object] = {FORM_SKIP: ["no", NOT_NOW, CANNOT], FORM_REASON: ""}
"""The form that both stock clients show in their options and send with each request until a user changes it."""


@dataclass(frozen=True)
class SkipRequest:
    """A skip of the case that the annotator holds, and its reason; with `by_form` it may be a repeated one."""

    kind: SkipKind
    reason: str
    by_form: bool = False


def skip_request(params: Mapping[str, Any]) -> SkipRequest | None:
    """The skip in the params of a request, by `skip` and `reason` or by the form; None if there is none.

    Raises:
        InvalidInputError: `skip` is unknown, or `reason` is no text on one line.
    """
    by_form = params.get("skip") is None
    value = params.get(FORM_SKIP if by_form else "skip")
    key = "" if value is None else value
    if not isinstance(key, str) or key not in _KINDS:
        raise InvalidInputError(f'skip: expected "{NOT_NOW}" or "{CANNOT}", got {str(value)[:80]!r}')
    kind = _KINDS[key]
    reason = params.get(FORM_REASON if by_form else "reason")
    return None if kind is None else SkipRequest(kind, _reason(reason), by_form)


def _reason(value: object) -> str:
    reason = value or ""
    if not isinstance(reason, str) or not reason.isprintable() or len(reason) > LONGEST_REASON:
        raise InvalidInputError(
            f"reason: expected a text of at most {LONGEST_REASON} characters on one line, got {str(reason)[:80]!r}"
        )
    return reason.strip()
