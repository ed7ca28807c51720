"""Agreement of two readings by hand and by another implementation, and labels merged of both."""

import numpy as np
import pytest

from activelabel.annotation.agreement import agreement_of, agrees, merged
from activelabel.data.labels.label_texts import parse_labels
from activelabel.simulation.metrics import mean_surface_distance
from activelabel.store.records.reviews import Agreement

SHAPE, SPACING_MM = (12, 10, 8), (1.5, 1.5, 2.0)
NAMES = ("ball", "box", "tube")


def drawn(*boxes: tuple[int, slice, slice, slice]) -> np.ndarray:
    label = np.zeros(SHAPE, np.uint8)
    for value, *where in boxes:
        label[tuple(where)] = value
    return label


FIRST = drawn((1, slice(2, 6), slice(2, 6), slice(1, 3)), (2, slice(7, 9), slice(2, 4), slice(4, 6)))
SECOND = drawn((1, slice(3, 7), slice(2, 6), slice(1, 3)))


def test_agreement_by_hand() -> None:
    """Balls of 4x4x2 voxels, one shifted by one: 3/4 in common. One alone drew a box, and nobody a tube."""
    found = agreement_of(FIRST, SECOND, NAMES, SPACING_MM)
    assert found.keys() == {"ball", "box"}
    assert found["ball"].dice == pytest.approx(0.75)
    assert found["box"] == Agreement(0.0, None)


def test_the_distance_is_that_of_another_implementation() -> None:
    shifted = np.roll(FIRST, 2, axis=2)
    found = agreement_of(FIRST, shifted, NAMES, SPACING_MM)
    for value, name in enumerate(("ball", "box"), start=1):
        distance = mean_surface_distance(value == FIRST, shifted == value, SPACING_MM)
        assert found[name].distance_mm == pytest.approx(distance, rel=1e-5)
    assert agreement_of(FIRST, FIRST, NAMES, SPACING_MM)["box"] == Agreement(1.0, 0.0)


def test_readings_agree_if_every_structure_does() -> None:
    good, bad = Agreement(0.9, 1.0), Agreement(0.7, 2.0)
    assert agrees({"ball": good}, 0.9)
    assert not agrees({"ball": good, "box": bad}, 0.8)
    assert agrees({}, 1.0)


def test_a_merged_label_has_what_both_have_and_nothing_that_neither_has() -> None:
    label = merged(FIRST, SECOND)
    assert label.shape == SHAPE
    both, neither = (FIRST == 1) & (SECOND == 1), (FIRST == 0) & (SECOND == 0)
    assert (label[both] == 1).all()
    assert (label[neither] == 0).all()
    assert np.array_equal(merged(FIRST, FIRST), FIRST)


def test_structures_that_overlap_agree_each_by_itself_where_neither_reading_ignores() -> None:
    labels = parse_labels(["whole=1+2", "core=2", "ignore=3"], "test")
    first, second = (np.array(row, np.uint8).reshape(-1, 1, 1) for row in ([1, 2, 2, 1, 3, 0], [1, 2, 1, 0, 1, 3]))
    found = agreement_of(first, second, labels, SPACING_MM)
    # whole: voxels 0 to 3 against 0 to 2; core: voxels 1 and 2 against 1
    assert (found["whole"].dice, found["core"].dice) == (pytest.approx(6 / 7), pytest.approx(2 / 3))
