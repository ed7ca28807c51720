"""How the slices of an image are counted is recorded with the first label or draft of it."""

import pytest
from recorded import record_annotation, record_draft

from activelabel.errors import InvalidInputError
from activelabel.store.case_states import DraftReason
from activelabel.store.cases.new_annotation import LabelChangedError

SHAPE = (8, 9, 10)
DRAFT = {"reason": DraftReason.SAID, "why": "", "shown_as": "original"}


def test_a_label_records_how_its_slices_are_counted(study):
    assert study.axis_of_label("a", 1, SHAPE) == 1
    assert study.image("a").slice_axis is None, "nothing is written before there is a label"
    kept = record_annotation(study, "a", "f", "0", "ann", slices=range(9), sliced=(1, SHAPE))
    assert (study.image("a").slice_axis, study.image("a").slice_count) == (1, 9)
    assert (kept.slices, kept.covered_slices) == (None, 9), "all of its slices are the whole volume"
    assert study.axis_of_label("a", 2, SHAPE) == 2, "no index refers to the axis yet"


def test_a_draft_records_how_its_slices_are_counted(study):
    record_draft(study, "a", "f", "0", "ann", sliced=(2, SHAPE), **DRAFT)
    assert (study.image("a").slice_axis, study.image("a").slice_count) == (2, 10)
    assert study.label_records("a")["f"]["image"]["slice_axis"] == 2


def test_what_counts_slices_along_another_axis_than_others_is_not_kept(study):
    record_annotation(study, "a", "f", "0", "ann", slices=[3], sliced=(1, SHAPE))
    assert study.axis_of_label("a", 2, SHAPE) == 1, "the index 3 refers to it"
    with pytest.raises(LabelChangedError, match="counted along axis 1"):
        record_annotation(study, "a", "g", "1", "bob", sliced=(2, SHAPE))
    with pytest.raises(LabelChangedError, match="counted along axis 1"):
        record_draft(study, "a", "g", "1", "bob", sliced=(2, SHAPE), **DRAFT)
    assert [label.file for label in study.history("a")] == ["f"]
    assert (study.image("a").slice_axis, study.image("a").slice_count) == (1, 9)


def test_a_label_of_a_volume_with_other_slices_than_were_drawn_is_refused(study):
    record_annotation(study, "a", "f", "0", "ann", slices=[3], sliced=(1, SHAPE))
    with pytest.raises(InvalidInputError, match="has 7 slices, but its label was drawn on one of 9"):
        study.axis_of_label("a", 1, (8, 7, 10))
    with pytest.raises(InvalidInputError, match="has 7 slices, but its label was drawn on one of 9"):
        record_annotation(study, "a", "g", "1", "ann", sliced=(1, (8, 7, 10)))
