"""The ledger keeps the content of a file with its label or draft, in one step, until it is told to forget it."""

import pytest
from recorded import record_annotation

from activelabel.errors import InvalidInputError
from activelabel.store.case_states import DraftReason
from activelabel.store.cases.new_annotation import KeptFile, NewDraft, Unsynced


def test_contents_are_kept_and_forgotten_with_labels_and_drafts(study):
    assert study.label_contents() == {}
    record_annotation(study, "a", "a/1", "0", "ann", unsynced=Unsynced(b"\x00\xff"))
    new = NewDraft("a", "ann", DraftReason.SAID, "", "original")
    study.keep_draft(new, KeptFile("a/2", "1", None, unsynced=Unsynced(b"second")))
    assert study.label_contents() == {"a/1": b"\x00\xff", "a/2": b"second"}
    record_annotation(study, "b", "b/3", "2", "bob", unsynced=Unsynced(b"third", ["a/1", "unknown"]))
    assert study.label_contents() == {"a/2": b"second", "b/3": b"third"}
    record_annotation(study, "b", "b/3", "2", "bob", unsynced=Unsynced(b"third, taken in again"))
    assert study.label_contents() == {"a/2": b"second", "b/3": b"third, taken in again"}
    study.forget_contents(["b/3", "a/2"])
    assert study.label_contents() == {}


def test_a_label_that_is_refused_keeps_and_forgets_nothing(study):
    record_annotation(study, "a", "a/1", "0", "ann", unsynced=Unsynced(b"first"))
    with pytest.raises(InvalidInputError):
        record_annotation(study, "a", "a/2", "1", "", unsynced=Unsynced(b"second", ["a/1"]))
    assert study.label_contents() == {"a/1": b"first"}
