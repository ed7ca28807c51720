"""Which drawings of a whole volume look unfinished: slices by hand, and the true labels of real images."""

import nibabel
import numpy as np
import pytest

from activelabel.data.labels.completeness import Expected, why_incomplete
from activelabel.data.slices import slice_axis
from activelabel.data.volumes import read_grid


def model(*profile):
    return Expected(profile, "model 3 sees something on")


def test_a_drawing_that_tapers_at_both_ends_is_complete():
    assert why_incomplete([0, 0, 2, 9, 12, 9, 2, 0, 0, 0]) is None


def test_an_empty_drawing_is_incomplete_whatever_a_model_predicts():
    assert why_incomplete([0] * 8) == why_incomplete([0] * 8, model(*[0] * 8)) == "nothing is drawn"


def test_one_stroke_of_48_slices_is_not_complete():
    stroke = [0] * 24 + [30] + [0] * 23
    assert why_incomplete(stroke) == "something is drawn on 1 of 48 slices, and it ends where it is still wide"


@pytest.mark.parametrize("drawn", [[0, 0, 0, 10, 12, 10, 0, 0], [0, 2, 9, 12, 0, 0, 0, 0], [0, 0, 0, 0, 12, 9, 2, 0]])
def test_a_drawing_that_stops_at_a_wide_slice_is_broken_off(drawn):
    assert why_incomplete(drawn).endswith("it ends where it is still wide")


def test_a_drawing_may_be_wide_where_the_image_ends():
    assert why_incomplete([12, 9, 2, 0, 0]) is None
    assert why_incomplete([0, 0, 2, 9, 12]) is None
    assert why_incomplete([5, 5, 5]) is None


def test_the_allowed_width_of_an_end_depends_on_the_number_of_slices():
    """4 / (n + 1) of the largest slice for n slices, but between a third and four fifths."""
    assert why_incomplete([0, 80, 100, 80, 0]) is None
    assert why_incomplete([0, 81, 100, 80, 0]) is not None
    assert why_incomplete([0, 57, 99, 100, 99, 90, 57, 0]) is None  # six slices: 4 / 7
    assert why_incomplete([0, 58, 99, 100, 99, 90, 57, 0]) is not None
    many = [90] * 13
    assert why_incomplete([0, 33, *many, 100, 33, 0]) is None
    assert why_incomplete([0, 34, *many, 100, 33, 0]) is not None


@pytest.mark.parametrize("radius", [1.5, 2.0, 2.7, 3.0, 4.4, 8.0])
def test_a_ball_is_complete_wherever_its_centre_lies_between_slices(radius):
    for offset in np.arange(0, 1, 0.125):
        distance = np.arange(24) - 12 - offset
        areas = np.rint(1000 * np.clip(radius**2 - distance**2, 0, None)).astype(int)
        drawn = np.count_nonzero(areas)
        assert drawn < 5 or why_incomplete(areas.tolist()) is None


def test_every_third_slice_is_a_drawing_with_most_left_out():
    every_third = [0, 2, 0, 0, 12, 0, 0, 9, 0, 0, 2, 0]
    assert why_incomplete(every_third) == "something is drawn on 4 of 12 slices, and most of those between are left out"


def test_a_drawing_is_questioned_if_the_model_predicts_more_elsewhere():
    dab = [0, 0, 1, 4, 1, 0, 0, 0, 0, 0]
    seen = model(0, 0, 4, 9, 12, 9, 4, 2, 0, 0)  # 15 of 40 predicted voxels are not drawn
    assert why_incomplete(dab, seen) is None
    seen = model(0, 0, 4, 9, 12, 12, 9, 9, 4, 0)  # 34 of 59
    assert why_incomplete(dab, seen) == "something is drawn on 3 of 10 slices, while model 3 sees something on 7"


def test_a_model_vouches_for_what_looks_broken_off_if_it_sees_the_same():
    basal = [0, 0, 2, 9, 12, 0, 0, 0]
    assert why_incomplete(basal) is not None
    assert why_incomplete(basal, model(0, 0, 2, 9, 12, 3, 0, 0)) is None
    assert why_incomplete(basal, model(0, 0, 2, 9, 12, 9, 0, 0)) is not None  # 9 of 32 lie beyond, more than a quarter
    assert why_incomplete(basal, model(0, 0, 0, 0, 12, 0, 0, 0)) is not None  # the model predicts one of three slices


def test_a_model_that_predicts_nothing_does_not_change_the_verdict():
    assert why_incomplete([0, 0, 3, 9, 12, 9, 3, 0], model(*[0.0] * 8)) is None
    assert why_incomplete([0, 0, 12, 0], model(*[0.0] * 4)) is not None


def test_without_a_model_earlier_labels_say_how_much_there_is():
    dab = [0] * 18 + [1, 4, 1] + [0] * 19
    assert why_incomplete(dab, smallest_share=0.14) is None
    expected = "something is drawn on 3 of 40 slices, less than half of any label before"
    assert why_incomplete(dab, smallest_share=0.16) == expected
    # Fewer than a tenth, and no earlier label or model.
    assert why_incomplete(dab) == "something is drawn on 3 of 40 slices"
    assert why_incomplete([0] * 18 + [1, 4, 4, 1] + [0] * 18) is None


@pytest.mark.parametrize(("folder", "allowed", "missed"), [("hippocampus", 0, 0), ("acdc", 5, 9)])
def test_true_labels_are_complete_and_their_halves_are_not(real_images, folder, allowed, missed):
    files = sorted((real_images / folder / "labels").glob("*.nii.gz"))[:40]
    complete, halves = [], []
    for file in files:
        axis = slice_axis(read_grid(file))
        areas = np.count_nonzero(nibabel.load(file).dataobj, axis=tuple({0, 1, 2} - {axis}))
        drawn = np.flatnonzero(areas)
        half = areas.copy()
        half[drawn[len(drawn) // 2] :] = 0
        complete.append(why_incomplete(areas.tolist()))
        halves.append(why_incomplete(half.tolist()))
    assert sum(problem is not None for problem in complete) <= allowed
    assert halves.count(None) <= missed
