"""Which comparison of two readings is the current one of its image, on the smallest ledgers."""

from datetime import datetime, timedelta

import pytest
from recorded import record_annotation

from activelabel.store.case_states import Verdict
from activelabel.store.cases.new_annotation import Compared, LabelChangedError
from activelabel.store.cases.readings import with_ends
from activelabel.store.records.labels import SECOND
from activelabel.store.records.reviews import Agreement

LIVER = {"liver": Agreement(0.5, 1.0)}
THEN = datetime(2026, 11, 29, 12)


@pytest.fixture
def read_twice(study, clock):
    """The case a, read by ann (label 1) and bob (label 2), who differ."""
    record_annotation(study, "a", "1", "0", "ann")
    clock.advance(1)
    record_annotation(study, "a", "2", "0", "bob", tag=SECOND, compared=Compared(1, LIVER, agrees=False))
    clock.advance(1)
    return study


def test_a_reading_may_be_compared_again_and_the_older_comparison_stays_in_the_ledger(read_twice, clock):
    record_annotation(read_twice, "a", "3", "0", "ann", compared=Compared(2, LIVER, agrees=True))
    older, newer = read_twice.readings(with_earlier=True)
    assert [(one.first_id, one.second_id, one.agrees) for one in (older, newer)] == [(1, 2, False), (3, 2, True)]
    assert (older.superseded_at, newer.superseded_at) == (clock.now, None)
    assert read_twice.readings() == [newer]
    assert [label.id for label in read_twice.labels_to_learn()] == [3]


def test_a_label_that_was_compared_with_an_older_version_is_compared_again(read_twice):
    record_annotation(read_twice, "a", "3", "0", "bob", tag=SECOND, compared=Compared(1, LIVER, agrees=True))
    with pytest.raises(LabelChangedError, match="its other reading has changed"):
        record_annotation(read_twice, "a", "4", "0", "ann", compared=Compared(2, LIVER, agrees=True))
    with pytest.raises(LabelChangedError):
        record_annotation(read_twice, "a", "4", "0", "ann", beside=0)
    assert [label.file for label in read_twice.history("a")] == ["1", "2", "3"]


def test_a_label_that_cannot_be_compared_is_kept_and_the_dispute_stays(read_twice):
    record_annotation(read_twice, "a", "3", "0", "ann", beside=2)
    assert [one.first_id for one in read_twice.readings()] == [1]
    assert read_twice.disagreements().keys() == {"a"}
    assert read_twice.labels_to_learn() == []


@pytest.mark.parametrize("tag", ["final", SECOND])
def test_who_takes_a_reading_back_ends_the_comparison(read_twice, clock, tag):
    read_twice.delete_annotation("a", tag)
    assert read_twice.readings() == []
    (ended,) = read_twice.readings(with_earlier=True)
    assert ended.superseded_at == clock.now
    assert read_twice.case_history("a").readers == frozenset()


def test_neither_reader_is_given_the_case_for_review_and_a_third_person_is(read_twice):
    assert [read_twice.take_for_review(name, 30) for name in ("ann", "bob")] == [None, None]
    assert read_twice.take_for_review("eve", 30).image_id == "a"


def row(number: int, minutes: int, end: int | None = None, *, says_its_end: bool = False) -> dict:
    """A comparison of the readings `number` and 10 + `number`."""
    ended = None if end is None else THEN + timedelta(minutes=end)
    said = {"superseded_at": ended} if says_its_end or end is not None else {}
    at = THEN + timedelta(minutes=minutes)
    return {"id": number, "image_id": "a", "second_id": 10 + number, "created_at": at, **said}


def label(taken_back: int | None, tag: str = "final", number: int = 1, replaced: int | None = None) -> dict:
    ends = [None if when is None else THEN + timedelta(minutes=when) for when in (taken_back, replaced)]
    return {"id": number, "image_id": "a", "tag": tag, "deleted_at": ends[0], "superseded_at": ends[1]}


@pytest.mark.parametrize(
    ("rows", "labels", "ends"),
    [
        ([row(1, 1)], [label(None)], [None]),
        ([row(1, 1), row(2, 5)], [], [5, None]),
        ([row(2, 5), row(1, 1)], [], [5, None]),
        ([row(1, 1), row(2, 5), row(3, 9)], [], [5, 9, None]),
        ([row(1, 1), row(2, 5)], [label(3)], [3, None]),
        ([row(1, 1)], [label(7, SECOND)], [7]),
        ([row(1, 5)], [label(3)], [None]),
        ([row(1, 1)], [label(7, "version_1")], [None]),
        ([row(1, 1, end=2), row(2, 5)], [], [2, None]),
        # A second reading that was sent again ended its comparison until 0019, whether or not the new one was compared.
        ([row(1, 1)], [label(None, SECOND, 11, replaced=4)], [4]),
        ([row(1, 1), row(2, 5)], [label(None, SECOND, 11, replaced=4)], [4, None]),
        ([row(1, 1)], [label(None, replaced=4)], [None]),
        ([row(1, 1, says_its_end=True)], [label(None, SECOND, 11, replaced=4)], [None]),
    ],
)
def test_the_ends_of_comparisons_that_say_nothing_of_theirs(rows, labels, ends):
    found = [one["superseded_at"] for one in with_ends(rows, labels)]
    assert found == [None if end is None else THEN + timedelta(minutes=end) for end in ends]


@pytest.mark.parametrize("late", ["first", "staple"])
def test_what_a_reader_sends_again_replaces_nothing_that_a_reviewer_has_decided_meanwhile(read_twice, late):
    """Ann's label was about to be kept as the final one when eve approved, or replaced, the label that counted."""
    if late == "staple":
        record_annotation(read_twice, "a", "merged", "0", "eve")
    read_twice.decide("a", "eve", Verdict.APPROVED)
    decided = read_twice.current_annotation("a")
    for details in ({"beside": 2}, {"compared": Compared(2, LIVER, agrees=True)}, {"merged_with": decided.version}):
        with pytest.raises(LabelChangedError, match="a reviewer has decided"):
            record_annotation(read_twice, "a", "3", "0", "ann", **details)
    assert read_twice.current_annotation("a") == decided
    assert read_twice.case_history("a").is_kept_beside("ann")
    record_annotation(read_twice, "a", "4", "0", "fay", merged_with=decided.version)  # a third person's correction


def test_what_a_reviewer_has_chosen_of_two_readings_is_kept_though_they_have_approved_the_other_before(read_twice):
    read_twice.decide("a", "eve", Verdict.APPROVED)
    assert record_annotation(read_twice, "a", "2", "0", "bob").version == 2
