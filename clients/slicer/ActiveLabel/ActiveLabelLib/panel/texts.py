"""Sentences of the panel."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone

from ActiveLabelLib.server.answers import Row
from ActiveLabelLib.server.reading import time_of
from ActiveLabelLib.session.case import Case
from ActiveLabelLib.session.session import Session
from ActiveLabelLib.session.slices import in_words

_OPENED = {
    "draft": "opened with your draft",
    "label": "opened with an earlier drawing",
    "model": "opened with the model's drawing",
    "nothing": "nothing is drawn yet",
}


def case_text(session: Session) -> str:
    """The open case: its role, why it was asked for, and what it was opened with."""
    case = session.case
    if session.server is None:
        return "Not connected."
    if case is None:
        return "No case is open."
    if case.review is not None:
        return f"{case.image}: version {case.review.version} by {case.review.annotator}, under your review."
    assert case.query is not None
    returned = f" Returned by {case.query.returned}." if case.query.returned else ""
    reason, opened = case.query.reason.rstrip("."), _OPENED[case.opened_with].capitalize()
    return f"{case.image} ({case.query.role}): {reason}. {opened}.{returned}"


def expiry_text(case: Case | None, now: datetime | None = None) -> str:
    """Until when the open case is kept for the person, in the time of this machine, or that this is over."""
    if case is None or case.query is None:
        return ""
    until = time_of(case.query.expires)
    left = int((until - (now or datetime.now(timezone.utc))).total_seconds() // 60)
    at = f"{until.astimezone():%H:%M}" if abs(left) < 12 * 60 else f"{until.astimezone():%Y-%m-%d %H:%M}"
    if left < 0:
        return f"It was kept for you until {at}: others may get it now. What you send still counts."
    return f"It is kept for you until {at} ({left} min)."


def can_be_brought_back(row: Row | None) -> bool:
    """Whether a case of the worklist may be brought back: one that was set aside."""
    return row is not None and row.state == "cannot be annotated"


def readings_text(case: Case | None) -> str:
    """Which two readings a reviewer decides between, and which is shown; empty if there are none."""
    if case is None or case.review is None or case.review.readings is None or case.reading is None:
        return ""
    readings = case.review.readings
    return (
        f"Two readings differ ({readings.agreement}): the first by {readings.first}, the second by {readings.second}. "
        f"Shown is the {case.reading}. Approve takes what is shown, or what you have drawn."
    )


def counts_text(counts: Mapping[str, int]) -> str:
    """How many cases are in each state that any case is in."""
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count)


def slices_text(case: Case | None) -> str:
    """Which slices are asked for, and which are done."""
    if case is None or case.query is None:
        return ""
    places, done = case.query.places, f" Done: {in_words(case.done)}." if case.done else ""
    if not case.query.asked:
        return f"Asked: the whole volume, {places.count} {places.plane} slices.{done}"
    return f"Asked: {places.plane} {in_words(case.query.asked)} of {places.count}, counted from 1.{done}"
