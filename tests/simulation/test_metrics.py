"""Metrics by hand on anisotropic grids, against a brute force over all pairs of voxels, and on empty masks."""

import itertools
import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from activelabel.simulation.metrics import (
    Mask,
    Spacing,
    dice,
    hausdorff_distance,
    mean_surface_distance,
    relative_volume_error,
    summary,
)

SPACING = (1.0, 2.0, 5.0)


def mask(*voxels: tuple[int, int, int], shape: tuple[int, int, int] = (8, 8, 8)) -> Mask:
    made = np.zeros(shape, dtype=bool)
    for voxel in voxels:
        made[voxel] = True
    return made


def box(size: tuple[int, int, int], at: tuple[int, int, int] = (0, 0, 0)) -> Mask:
    made = np.zeros((12, 12, 12), dtype=bool)
    made[tuple(slice(start, start + length) for start, length in zip(at, size, strict=True))] = True
    return made


def test_overlap_and_volume_by_hand() -> None:
    prediction, reference = box((4, 2, 2)), box((4, 2, 3))
    # 16 and 24 voxels, 16 of them shared.
    assert dice(prediction, reference, SPACING) == 2 * 16 / 40
    assert relative_volume_error(prediction, reference, SPACING) == pytest.approx(100 * 8 / 24)
    assert relative_volume_error(reference, prediction, SPACING) == pytest.approx(100 * 8 / 16)


@pytest.mark.parametrize(("axis", "distance_mm"), [(0, 3.0), (1, 6.0), (2, 15.0)])
def test_two_voxels_three_apart_along_each_axis(axis: int, distance_mm: float) -> None:
    there = [1, 1, 1]
    there[axis] += 3
    masks = mask((1, 1, 1)), mask((there[0], there[1], there[2]))
    assert mean_surface_distance(*masks, SPACING) == distance_mm
    assert hausdorff_distance(*masks, SPACING) == distance_mm


def test_surfaces_of_different_sizes_by_hand() -> None:
    # Three voxels in a row across, 5 mm apart, against the first of them: 0, 5 and 10 mm there, 0 mm back.
    row, first = mask((2, 2, 0), (2, 2, 1), (2, 2, 2)), mask((2, 2, 0))
    assert mean_surface_distance(row, first, SPACING) == (0 + 5 + 10 + 0) / 4
    assert hausdorff_distance(row, first, SPACING) == hausdorff_distance(first, row, SPACING) == 10.0


def test_only_surfaces_count_and_a_hole_has_one() -> None:
    # A box of 5×5×5 and the same without its middle voxel. Both have the outer surface; the second also has the six
    # voxels beside the hole.
    whole, hollow = box((5, 5, 5), at=(3, 3, 3)), box((5, 5, 5), at=(3, 3, 3))
    hollow[5, 5, 5] = False
    outer = 5**3 - 3**3
    assert hausdorff_distance(whole, hollow, SPACING) == 2.0
    # Along x those six are 1 voxel of 1 mm from the outer surface where they lie beside the hole in x, else 2 of 1 mm.
    assert mean_surface_distance(whole, hollow, SPACING) == pytest.approx((2 * 1 + 4 * 2) / (2 * outer + 6))


def surface_by_hand(given: Mask) -> list[tuple[int, ...]]:
    inside = set(map(tuple, np.argwhere(given).tolist()))
    steps = [step for step in itertools.product((-1, 0, 1), repeat=3) if sum(map(abs, step)) == 1]
    return [
        voxel
        for voxel in inside
        if any(tuple(a + b for a, b in zip(voxel, step, strict=True)) not in inside for step in steps)
    ]


masks = hnp.arrays(bool, (4, 3, 5))


@given(masks, masks, st.tuples(*[st.floats(0.3, 6)] * 3))
def test_distances_are_those_of_all_pairs_of_surface_voxels(
    prediction: Mask, reference: Mask, spacing_mm: Spacing
) -> None:
    surfaces = [
        [np.multiply(voxel, spacing_mm) for voxel in surface_by_hand(given)] for given in (prediction, reference)
    ]
    if not all(surfaces):
        return
    nearest = [
        min(float(np.linalg.norm(a - b)) for b in theirs) for ours, theirs in (surfaces, surfaces[::-1]) for a in ours
    ]
    assert mean_surface_distance(prediction, reference, spacing_mm) == pytest.approx(statistics.fmean(nearest))
    assert hausdorff_distance(prediction, reference, spacing_mm) == pytest.approx(max(nearest))


@given(masks, masks, st.integers(0, 3))
def test_metrics_do_not_depend_on_the_position_of_the_masks(prediction: Mask, reference: Mask, margin: int) -> None:
    padded = [np.pad(given, ((margin, 1), (0, margin), (2, 0))) for given in (prediction, reference)]
    for metric in (dice, relative_volume_error, mean_surface_distance, hausdorff_distance):
        assert metric(prediction, reference, SPACING) == metric(padded[0], padded[1], SPACING)


EMPTY, FULL = box((0, 0, 0)), box((2, 2, 2))


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [
        (EMPTY, FULL, (0.0, 100.0, math.inf, math.inf)),
        (FULL, EMPTY, (0.0, math.inf, math.inf, math.inf)),
        (EMPTY, EMPTY, (1.0, 0.0, 0.0, 0.0)),
        (FULL, FULL, (1.0, 0.0, 0.0, 0.0)),
    ],
)
def test_metrics_of_empty_masks(prediction: Mask, reference: Mask, expected: tuple[float, ...]) -> None:
    metrics = (dice, relative_volume_error, mean_surface_distance, hausdorff_distance)
    assert tuple(metric(prediction, reference, SPACING) for metric in metrics) == expected


def test_arrays_that_are_no_mask_or_spacing_are_refused() -> None:
    with pytest.raises(ValueError, match=r"prediction: expected bool .* got uint8"):
        dice(FULL.astype(np.uint8), FULL, SPACING)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"prediction: expected .* shape \(12, 12, 12\), got bool \(8, 8, 8\)"):
        hausdorff_distance(mask(), FULL, SPACING)
    with pytest.raises(ValueError, match="spacing_mm: expected three numbers above 0"):
        mean_surface_distance(FULL, FULL, (1.0, 0.0, 1.0))


def test_a_summary_by_hand() -> None:
    found = summary([3.0, 1.0, 2.0, 4.0, 5.0])
    assert (found.count, found.infinite, found.mean) == (5, 0, 3.0)
    assert found.sd == pytest.approx(math.sqrt(10 / 4))
    assert (found.percentile_5, found.percentile_95) == (pytest.approx(1.2), pytest.approx(4.8))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_percentiles_are_numpys_where_all_is_finite(values: list[float]) -> None:
    found = summary(values)
    assert found.percentile_5 == pytest.approx(np.percentile(values, 5))
    assert found.percentile_95 == pytest.approx(np.percentile(values, 95))


def test_a_summary_includes_cases_that_were_missed() -> None:
    found = summary([math.inf, *[float(value) for value in range(39)]])
    assert (found.count, found.infinite, found.mean) == (40, 1, math.inf)
    assert math.isnan(found.sd)
    # The places 0.05·39 = 1.95 and 37.05: both beside finite values.
    assert (found.percentile_5, found.percentile_95) == (pytest.approx(1.95), pytest.approx(37.05))
    assert summary([0.0, math.inf, math.inf]).percentile_95 == math.inf
    assert summary([7.0]).sd == 0.0


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [-math.inf]])
def test_lists_without_numbers_have_no_summary(values: list[float]) -> None:
    with pytest.raises(ValueError, match="expected one number or more"):
        summary(values)
