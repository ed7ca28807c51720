"""Which comparison of two readings is the current one of its image, on the smallest ledgers."""

from datetime import datetime, timedelta

import pytest
from recorded import record_annotation

from activelabel.store.cases.annotations import LabelChangedError
from activelabel.store.cases.new_annotation import Compared
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
    assert read_twice.readers_of("a") == frozenset()


def test_neither_reader_is_given_the_case_for_review_and_a_third_person_is(read_twice):
    assert [read_twice.take_for_review(name, 30) for name in ("ann", "bob")] == [None, None]
    assert read_twice.take_for_review("eve", 30).image_id == "a"


def row(number: int, minutes: int, end: int | None = None) -> dict:
    at = THEN + timedelta(minutes=minutes)
    ended = None if end is None else THEN + timedelta(minutes=end)
    return {"id": number, "image_id": "a", "created_at": at, "superseded_at": ended}


def label(taken_back: int | None, tag: str = "final") -> dict:
    at = None if taken_back is None else THEN + timedelta(minutes=taken_back)
    return {"image_id": "a", "tag": tag, "deleted_at": at}


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
    ],
)
def test_the_ends_of_comparisons_that_say_nothing_of_theirs(rows, labels, ends):
    found = [one["superseded_at"] for one in with_ends(rows, labels)]
    assert found == [None if end is None else THEN + timedelta(minutes=end) for end in ends]
