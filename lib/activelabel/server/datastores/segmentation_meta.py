"""`segmentationMeta`: what Slicer's module *MONAI Label Reviewer* reads and writes in the information about a label.

The module sends all of it with each change, for every tag of an image, whether or not that tag has changed. Its status
is `approved` or `flagged`, or a word that decides nothing; its level is `easy`, `medium` or `hard`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from activelabel.errors import InvalidInputError
from activelabel.store.case_states import Verdict
from activelabel.store.records.reviews import Difficulty, Review

KEY = "segmentationMeta"
_VERDICTS = {"approved": Verdict.APPROVED, "flagged": Verdict.RETURNED}
_STATUS = {verdict.value: status for status, verdict in _VERDICTS.items()}
FLAGGED_WITHOUT_COMMENT = "flagged by the reviewer, without a comment"


@dataclass(frozen=True)
class SegmentationMeta:
    """What a reviewer says about the label of a tag; `verdict` is None if they decide nothing."""

    verdict: Verdict | None
    reviewer: str
    note: str
    difficulty: Difficulty | None


def read_meta(info: Mapping[str, Any]) -> SegmentationMeta | None:
    """What the information about a label says about its review; None if nothing.

    Raises:
        InvalidInputError: it is no object of texts.
    """
    meta = info.get(KEY)
    if meta is None:
        return None
    if not isinstance(meta, Mapping) or any(not isinstance(meta.get(key) or "", str) for key in _TEXTS):
        raise InvalidInputError(f"{KEY}: expected an object with the texts {', '.join(_TEXTS)}, got {str(meta)[:80]!r}")
    texts = {key: _in_one_line(meta.get(key) or "") for key in _TEXTS}
    verdict = _VERDICTS.get(texts["status"])
    note = texts["comment"] or (FLAGGED_WITHOUT_COMMENT if verdict is Verdict.RETURNED else "")
    levels: dict[str, Difficulty] = {level: level for level in get_args(Difficulty)}
    return SegmentationMeta(verdict, texts["approvedBy"], note, levels.get(texts["level"]))


def _in_one_line(text: str) -> str:
    """The text with a space for each character that cannot be printed; PostgreSQL would refuse a NUL."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def meta_of(review: Review) -> dict[str, Any]:
    """A decision in the form in which the module reads it."""
    assert review.outcome is not None
    assert review.ended_at is not None
    return {
        KEY: {
            "status": _STATUS[review.outcome],
            "approvedBy": review.reviewer,
            "level": review.difficulty or "",
            "comment": review.note,
            "editTime": int(review.ended_at.timestamp()),
        }
    }


_TEXTS = ("status", "approvedBy", "level", "comment")
