"""Sentences of the panel, by hand."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from slicer_desk import VOLUME

from ActiveLabelLib.errors import ClientError
from ActiveLabelLib.panel.texts import can_be_brought_back, expiry_text
from ActiveLabelLib.server.answers import Row
from ActiveLabelLib.server.reading import read_query, time_of
from ActiveLabelLib.session.case import Case

UNTIL = datetime(2026, 11, 29, 12, 0, tzinfo=timezone.utc)
CASE = Case("case7", "nothing", replace(VOLUME, expires="2026-11-29T12:00:00.123456Z"))
AT = f"{UNTIL.astimezone():%H:%M}"


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (timedelta(minutes=47, seconds=30), f"It is kept for you until {AT} (47 min)."),
        (timedelta(seconds=30), f"It is kept for you until {AT} (0 min)."),
        (timedelta(hours=20), f"It is kept for you until {UNTIL.astimezone():%Y-%m-%d %H:%M} (1200 min)."),
        (
            timedelta(minutes=-5),
            f"It was kept for you until {AT}: others may get it now. What you send still counts.",
        ),
    ],
)
def test_the_expiry_is_in_the_time_of_this_machine(before: timedelta, expected: str) -> None:
    assert expiry_text(CASE, UNTIL - before) == expected


def test_a_review_and_no_case_have_no_expiry() -> None:
    assert expiry_text(None, UNTIL) == expiry_text(Case("case7", "label"), UNTIL) == ""


@pytest.mark.parametrize("text", ["2026-11-29T12:00:00Z", "2026-11-29T12:00:00.5Z", "2026-11-29T13:00:00.123456+01:00"])
def test_a_time_of_the_server_is_read_as_pydantic_and_python_write_it(text: str) -> None:
    assert time_of(text) == UNTIL


@pytest.mark.parametrize("text", ["soon", "2026-11-29T12:00:00", ""])
def test_an_expiry_that_is_no_time_is_one_line(text: str) -> None:
    places = {"axis": 2, "plane": "axial", "towards": "S", "first_mm": 0.0, "step_mm": 1.0, "count": 4}
    query = {"image": "a", "role": "training", "slices": [], "places": places, "reason": "", "draft": False}
    with pytest.raises(ClientError, match="of another kind"):
        read_query({"query": {**query, "expires": text}})


@pytest.mark.parametrize(
    ("state", "may"), [("cannot be annotated", True), ("skipped", False), ("unseen", False), ("", False)]
)
def test_only_what_was_set_aside_can_be_brought_back(state: str, may: bool) -> None:
    assert can_be_brought_back(Row("a", "training", state, "", "")) == may
    assert not can_be_brought_back(None)
