"""The correlation of uncertainty and error by hand and against scipy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from activelabel.analysis.rank_correlation import uncertainty_error_correlation


def test_correlation_by_hand() -> None:
    # Ranks 1, 2, 3, 4 less their mean: -1.5, -0.5, 0.5, 1.5; the wrong ones sum to 2, the variances to 5 and 1.
    uncertainty = np.array([[0.1, 0.2], [0.3, 0.4]])
    wrong = np.array([[False, False], [True, True]])
    assert uncertainty_error_correlation(uncertainty, wrong) == pytest.approx(2 / math.sqrt(5))
    assert uncertainty_error_correlation(-uncertainty, wrong) == pytest.approx(-2 / math.sqrt(5))


def test_uncertainty_equal_to_the_error_correlates_fully() -> None:
    wrong = np.array([True, False, False, True, False])
    assert uncertainty_error_correlation(wrong.astype(np.float32), wrong) == pytest.approx(1)


def test_the_largest_correlation_of_distinct_uncertainties() -> None:
    # sqrt(3 f (1 - f)) for f = 1/5, but for a discrete 1 / n^2.
    uncertainty = np.arange(1000.0)
    assert uncertainty_error_correlation(uncertainty, uncertainty >= 800) == pytest.approx(
        math.sqrt(3 * 0.2 * 0.8), rel=1e-6
    )


MAPS = st.integers(2, 40).flatmap(
    lambda voxels: st.tuples(
        st.lists(st.integers(-3, 3), min_size=voxels, max_size=voxels),
        st.lists(st.booleans(), min_size=voxels, max_size=voxels),
    )
)


@given(MAPS)
def test_correlation_equals_scipys_with_and_without_ties(maps: tuple[list[int], list[bool]]) -> None:
    uncertainty, wrong = np.array(maps[0], dtype=np.float32), np.array(maps[1])
    found = uncertainty_error_correlation(uncertainty, wrong)
    if len(set(maps[0])) == 1 or len(set(maps[1])) == 1:
        assert found is None
    else:
        assert found == pytest.approx(spearmanr(uncertainty, wrong).statistic, abs=1e-12)


@given(MAPS)
def test_correlation_depends_on_the_order_only(maps: tuple[list[int], list[bool]]) -> None:
    uncertainty, wrong = np.array(maps[0], dtype=np.float64), np.array(maps[1])
    assert uncertainty_error_correlation(np.exp(3 * uncertainty), wrong) == uncertainty_error_correlation(
        uncertainty, wrong
    )


def test_many_voxels_with_few_errors_lose_no_digits() -> None:
    uncertainty = np.zeros(2_000_000)
    uncertainty[7] = 1.0
    wrong = np.zeros(2_000_000, dtype=bool)
    wrong[[7, 8]] = True
    # Both maps have two values: the correlation is Pearson's of two indicators, 1 / sqrt(2) up to a term of 1 / n.
    assert uncertainty_error_correlation(uncertainty, wrong) == pytest.approx(math.sqrt(0.5), rel=1e-6)


def test_constant_and_empty_maps_have_no_correlation() -> None:
    some = np.array([True, False])
    assert uncertainty_error_correlation(np.array([0.5, 0.5]), some) is None
    assert uncertainty_error_correlation(np.array([0.1, 0.5]), np.array([True, True])) is None
    assert uncertainty_error_correlation(np.array([0.1, 0.5]), np.array([False, False])) is None
    assert uncertainty_error_correlation(np.empty((0, 2)), np.empty((0, 2), dtype=bool)) is None


@pytest.mark.parametrize(
    ("uncertainty", "wrong", "message"),
    [
        (np.zeros(2), np.zeros(3, dtype=bool), r"the shape \(2,\) of uncertainty, got bool \(3,\)"),
        (np.zeros(2), np.zeros(2), "expected bool"),
        (np.array([0.0, np.nan]), np.array([True, False]), "finite"),
        (np.array([0.0, np.inf]), np.array([True, False]), "finite"),
    ],
)
def test_maps_that_cannot_be_correlated_are_refused(uncertainty: np.ndarray, wrong: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        uncertainty_error_correlation(uncertainty, wrong)
