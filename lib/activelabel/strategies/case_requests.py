"""What a client may say of a case when it asks for the next one, or at the routes of cases; parsed once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from activelabel.errors import InvalidInputError
from activelabel.store.records import SkipKind
from activelabel.store.skips import CANNOT, NOT_NOW

LONGEST_REASON = 500
_KINDS: dict[str, SkipKind | None] = {"": None, "no": None, NOT_NOW: NOT_NOW, CANNOT: CANNOT}


FORM_SKIP, FORM_REASON = "skip this case", "reason to skip it"
FORM: dict[str, object] = {FORM_SKIP: ["no", NOT_NOW, CANNOT], FORM_REASON: ""}
"""What both stock clients show under their options, and send with each question until somebody changes it again."""


@dataclass(frozen=True)
class SkipRequest:
    """That an annotator does not want what they hold, and why; `by_form`: it may be from the question before."""

    kind: SkipKind
    reason: str
    by_form: bool = False


def skip_request(params: Mapping[str, Any]) -> SkipRequest | None:
    """What the params of a request say by `skip` and `reason`, or by the form; None if it is no skip.

    Raises:
        InvalidInputError: an unknown `skip`, or a `reason` that is no text on one line.
    """
    by_form = params.get("skip") is None
    said = params.get(FORM_SKIP if by_form else "skip")
    key = "" if said is None else said
    if not isinstance(key, str) or key not in _KINDS:
        raise InvalidInputError(f'skip: expected "{NOT_NOW}" or "{CANNOT}", got {str(said)[:80]!r}')
    kind = _KINDS[key]
    reason = params.get(FORM_REASON if by_form else "reason")
    return None if kind is None else SkipRequest(kind, _reason(reason), by_form)


def _reason(said: object) -> str:
    reason = said or ""
    if not isinstance(reason, str) or not reason.isprintable() or len(reason) > LONGEST_REASON:
        raise InvalidInputError(
            f"reason: expected a text of at most {LONGEST_REASON} characters on one line, got {str(reason)[:80]!r}"
        )
    return reason.strip()
