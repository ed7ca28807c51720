"""Saved labels, drafts, skips and readings as JSON objects for clients."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from activelabel.annotation.archive import Kept
from activelabel.store.ledger import Ledger
from activelabel.store.records.labels import SECOND, Draft
from activelabel.store.records.queries import Skip
from activelabel.store.records.reviews import Agreement

_COMPARED = "kept as a second reading: it is compared with the first"
_STAYS = (
    "kept as a reading: a reviewer has decided about this case, and what they chose stays; if yours should count, ask "
    "a reviewer to return the case"
)


def kept_as_json(kept: Kept, ledger: Ledger) -> dict[str, Any]:
    """The answer to a saved label: its state, the rule by which it counts, or why it does not count and what to do."""
    if isinstance(kept, Draft):
        return {"state": "draft", "message": kept.why}
    finished = {"state": "finished"}
    if kept.tag == SECOND:
        return {**finished, "message": _STAYS if ledger.case_history(kept.image_id).is_adjudicated else _COMPARED}
    if kept.coverage is not None:
        finished["coverage"] = kept.coverage.value
    if kept.unchanged_from is None:
        return finished
    return {
        **finished,
        "unchanged_from": kept.unchanged_from,
        "message": f"recorded as exactly what model {kept.unchanged_from} drew",
    }


def readings_as_json(ledger: Ledger, wanted: int) -> dict[str, Any]:
    """How many cases were read twice, and how much the readings agree on the mean over cases."""
    readings = ledger.readings()
    found = defaultdict[str, list[Agreement]](list)
    for reading in readings:
        for name, agreement in reading.structures.items():
            found[name].append(agreement)
    return {
        "wanted": wanted,
        "read_twice": len(readings),
        "to_decide": sorted(ledger.disagreements()),
        "structures": {
            name: {
                "cases": len(agreements),
                "dice": fmean(one.dice for one in agreements),
                "distance_mm": _mean([one.distance_mm for one in agreements if one.distance_mm is not None]),
            }
            for name, agreements in sorted(found.items())
        },
    }


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def draft_as_json(draft: Draft) -> dict[str, Any]:
    """A draft as a JSON object for clients."""
    return {"version": draft.version, "saved": draft.created_at.isoformat(), "why": draft.why}


def skip_as_json(skip: Skip) -> dict[str, Any]:
    """A skip as a JSON object for clients."""
    return {
        "id": skip.image_id,
        "kind": skip.kind,
        "reason": skip.reason,
        "annotator": skip.annotator,
        "when": skip.created_at.isoformat(),
    }
