"""The overlap that chooses the best epoch, by hand: classes that exclude each other, and structures that overlap."""

import pytest
import torch

from activelabel.data.labels.label_map import label_map_of
from activelabel.data.labels.label_texts import parse_labels
from activelabel.training.engine.validation import drawn_overlap, overlap

LITS = parse_labels(["liver=1+2", "tumour=2"], "test")


def test_structures_that_overlap_are_measured_one_by_one_where_something_is_known() -> None:
    logits = torch.tensor([[5.0, 5, -5, 5, 5], [5, -5, -5, 5, 5]])
    parts = torch.tensor([[2, 1, 2, -1, 0]])
    # liver: 2 are right, 1 is missed, 1 is too much; tumour: 1 is right, 1 is missed, 1 is too much
    assert drawn_overlap(logits, parts, LITS, "dice") == pytest.approx((4 / 6 + 2 / 4) / 2)
    assert drawn_overlap(logits, parts, LITS, "jaccard") == pytest.approx((2 / 4 + 1 / 3) / 2)


def test_a_structure_that_the_label_has_not_is_left_out() -> None:
    logits = torch.tensor([[5.0, -5], [5, -5]])
    assert drawn_overlap(logits, torch.tensor([[1, 0]]), LITS, "dice") == 1.0
    assert drawn_overlap(logits, torch.tensor([[0, 0]]), LITS, "dice") is None


def test_classes_that_exclude_each_other_are_measured_as_ever() -> None:
    logits = torch.randn(3, 40, generator=torch.Generator().manual_seed(0))
    label = torch.arange(40)[None] % 3
    expected = overlap(logits.argmax(dim=0, keepdim=True), label, 3, "dice")
    assert drawn_overlap(logits, label, label_map_of(("a", "b")), "dice") == expected
