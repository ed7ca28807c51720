"""The label records of a ledger, and a ledger rebuilt from them, on both databases."""

import dataclasses
import json
from datetime import timedelta

import pytest
from recorded import record_annotation, record_draft

from activelabel.errors import InvalidInputError, NotFoundError
from activelabel.store.case_states import DraftReason, Verdict
from activelabel.store.cases.label_records import Rebuilt
from activelabel.store.cases.new_annotation import Compared
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger
from activelabel.store.records.labels import SECOND
from activelabel.store.records.reviews import Agreement
from activelabel.store.schema.labels import AnnotationRow


@pytest.fixture
def told(tmp_path, clock):
    """The label records by image of a small study after all its events."""
    ledger = Ledger(sqlite_url(tmp_path / "told.sqlite"), clock)
    ledger.sync_images(["a", "b", "c", "d"], 1)
    first, second, *_ = [image.id for image in ledger.images() if image.role == "training"]
    for number, annotator in enumerate(("ann", "bob"), start=1):
        ledger.grant_lease(annotator, first, 30, "variance", slices=[number], score=0.5, reason="why")
        clock.now += timedelta(seconds=90)
        record_annotation(ledger,
            first, f"{first}/{number}.nii.gz", f"{number}" * 64, annotator, slices=[number], shown_as="original",
            label_names=["liver"], file_stamp=(5, 7, 9),
        )  # fmt: skip
    record_annotation(ledger, second, f"{second}/1.nii.gz", "3" * 64, "ann")
    ledger.delete_annotation(second)
    ledger.grant_lease("ann", second, 30, "variance")
    details = {"reason": DraftReason.SAID, "why": "as said", "shown_as": "original", "lease_id": 3}
    for number in (1, 2):
        clock.now += timedelta(seconds=5)
        record_draft(ledger, second, f"{second}/draft{number}.nii.gz", "4" * 64, "ann", **details)
    records = [record for image in (first, second) for record in ledger.label_records(image).values()]
    return ledger, json.loads(json.dumps(records))


def without_disk(items):
    unknown = dict.fromkeys(("file_size", "file_modified_ns", "file_changed_ns"))
    return [dataclasses.replace(item, **unknown) for item in items]


def test_a_ledger_is_rebuilt_from_label_records(told, new_url, clock):
    before, records = told
    after = Ledger(new_url, clock)

    assert after.rebuild(records) == Rebuilt(2, 7, 2, 3, ("ann", "bob"))

    for image in {record["image"]["id"] for record in records}:
        assert after.history(image) == without_disk(before.history(image))
        assert after.draft_history(image) == without_disk(before.draft_history(image))
        assert after.image(image) == before.image(image)
    assert after.rounds() == before.rounds()
    assert after.active_leases(after.images()[0].id) == []
    # New ids follow the ids that were taken over.
    after.sync_images(["a", "b", "c", "d"], 1)
    (new,) = [record_annotation(after, "d", "d/1.nii.gz", "5" * 64, "cy")]
    assert new.id == 1 + max(item.id for image in before.images() for item in before.history(image.id))
    assert after.grant_lease("cy", "c", 30, "variance").id == 4
    after.close()


def test_a_ledger_with_images_is_not_rebuilt(told, new_url):
    after = Ledger(new_url)
    after.sync_images(["a"], 0)
    with pytest.raises(InvalidInputError, match="it knows images already"):
        after.rebuild(told[1])
    after.close()


def test_labels_added_as_history_do_not_count(ledger, clock):
    ledger.sync_images(["a"], 0)
    row = {"image_id": "a", "tag": "final", "sha256": "0" * 64, "annotator": "unknown", "created_at": clock.now}
    assert ledger.add_history([{**row, "file": "a/1"}, {**row, "file": "a/2"}]) == 2
    assert [(item.version, item.file) for item in ledger.history("a")] == [(1, "a/1"), (2, "a/2")]
    assert ledger.current_annotation("a") is None
    assert ledger.progress().annotated == 0


def test_size_and_time_of_a_file_are_noted_wherever_it_is_named(told):
    ledger, records = told
    ledger.note_label_files({(file := records[0]["annotations"][0]["file"]): (11, 2**62, 2**61)})
    named = [item for image in ledger.images() for item in ledger.history(image.id) if item.file == file]
    assert [(item.tag, item.file_size, item.file_modified_ns, item.file_changed_ns) for item in named] == [
        ("final", 11, 2**62, 2**61), ("original", 11, 2**62, 2**61)
    ]  # fmt: skip
    assert file in ledger.label_files()


def test_label_records_of_an_unknown_image_are_refused(ledger):
    with pytest.raises(NotFoundError):
        ledger.label_records("x")


def test_decisions_of_reviewers_are_rebuilt_too(told, new_url, clock):
    before, _ = told
    image = next(image.id for image in before.images() if before.current_annotation(image.id))
    before.take_for_review("rev", 30, image)
    before.decide(image, "rev", Verdict.RETURNED, "the tip is missing")
    before.decide(image, "eve", Verdict.APPROVED, difficulty="hard")
    before.take_for_review("rev", 30, image)  # under way: nothing is decided yet
    records = [
        record for one in before.images() for record in json.loads(json.dumps([*before.label_records(one.id).values()]))
    ]
    after = Ledger(new_url, clock)
    after.rebuild(records)
    assert after.reviews() == before.reviews()[:2]
    assert after.case_facts(image).verdict is Verdict.APPROVED
    after.decide(image, "rev", Verdict.RETURNED, "no")
    assert [review.id for review in after.reviews()] == [1, 2, 3]


def test_second_readings_are_rebuilt_too(tmp_path, new_url, clock):
    before = Ledger(sqlite_url(tmp_path / "read.sqlite"), clock)
    before.sync_images(["a"], 0)
    first = record_annotation(before, "a", "a/1.nii.gz", "1" * 64, "ann")
    compared = Compared(first.id, {"liver": Agreement(0.5, None)}, agrees=False)
    record_annotation(before, "a", "a/2.nii.gz", "2" * 64, "bob", tag=SECOND, compared=compared)
    after = Ledger(new_url, clock)
    after.rebuild(json.loads(json.dumps([*before.label_records("a").values()])))
    assert after.readings() == before.readings() != []
    assert after.disagreements().keys() == {"a"}
    assert after.labels_to_learn() == []


def test_comparisons_of_readings_sent_again_are_rebuilt_with_their_ends(tmp_path, new_url, clock):
    before = read_twice_and_sent_again(tmp_path, clock)
    after = Ledger(new_url, clock)
    after.rebuild(json.loads(json.dumps([*before.label_records("a").values()])))
    assert after.readings(with_earlier=True) == before.readings(with_earlier=True)
    assert [one.agrees for one in after.readings()] == [True]


def test_of_records_that_do_not_say_when_a_comparison_ended_the_newest_is_the_current_one(tmp_path, new_url, clock):
    before = read_twice_and_sent_again(tmp_path, clock)
    records = json.loads(json.dumps([*before.label_records("a").values()]))
    for reading in (reading for record in records for reading in record["readings"]):
        del reading["superseded_at"]
    after = Ledger(new_url, clock)
    after.rebuild(records)
    assert after.readings(with_earlier=True) == before.readings(with_earlier=True)


def read_twice_and_sent_again(folder, clock):
    """Return a ledger of a case whose readers have differed, until the first one has sent theirs again."""
    ledger = Ledger(sqlite_url(folder / "read.sqlite"), clock)
    ledger.sync_images(["a"], 0)
    first = record_annotation(ledger, "a", "a/1.nii.gz", "1" * 64, "ann")
    apart, near = ({"liver": Agreement(dice, None)} for dice in (0.5, 0.9))
    clock.advance(1)
    compared = Compared(first.id, apart, agrees=False)
    second = record_annotation(ledger, "a", "a/2.nii.gz", "2" * 64, "bob", tag=SECOND, compared=compared)
    clock.advance(1)
    record_annotation(ledger, "a", "a/3.nii.gz", "3" * 64, "ann", compared=Compared(second.id, near, agrees=True))
    return ledger


def test_records_of_an_earlier_version_know_no_reviews(told, new_url, clock):
    _, records = told
    old = [{key: value for key, value in record.items() if key not in ("reviews", "readings")} for record in records]
    after = Ledger(new_url, clock)
    after.rebuild(old)
    assert after.reviews() == []


def test_no_column_of_a_label_has_a_default_in_place_of_which_a_new_label_would_get_null():
    columns = AnnotationRow.__table__.columns
    assert [column.name for column in columns if column.default is not None or column.server_default is not None] == []
