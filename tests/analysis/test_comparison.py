"""Paired tests by hand and against scipy and statsmodels; the matrix by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wilcoxon
from statsmodels.stats.multitest import multipletests

from activelabel.analysis.comparison import PairedTest, compare, paired_test, penalty_matrix


def test_by_hand() -> None:
    # Differences 3, 1, -2, 4, 0: ranks 3, 1, 2, 4 of those that differ, the positive ones sum to 8 of 10. Of the 16
    # ways to sign four ranks, three sum to 8 or more (10, 9, 8) and three to 2 or less: p = 6 / 16.
    test = paired_test([5, 3, 0, 5, 1], [2, 2, 2, 1, 1])
    assert test == PairedTest(n=5, n_nonzero=4, median_difference=1, mean_difference=1.2, statistic=8, p=0.375)
    assert test.first_is_better


def test_the_other_way_round() -> None:
    test = paired_test([2, 2, 2, 1, 1], [5, 3, 0, 5, 1])
    assert (test.median_difference, test.mean_difference, test.statistic, test.p) == (-1, -1.2, 2, 0.375)
    assert not test.first_is_better


def test_no_difference_is_no_evidence() -> None:
    test = paired_test([0.5, math.inf], [0.5, math.inf])
    assert test == PairedTest(n=2, n_nonzero=0, median_difference=0, mean_difference=0, statistic=0, p=1)
    assert not test.first_is_better


@pytest.mark.parametrize("pairs", [1, 2, 3, 4, 5, 6])
def test_the_smallest_p_there_can_be(pairs: int) -> None:
    assert paired_test(np.arange(1.0, pairs + 1), np.zeros(pairs)).p == pytest.approx(2 / 2**pairs)


def test_pairs_with_a_nan_are_left_out() -> None:
    nan = math.nan
    assert paired_test([5, nan, 3, 0, 5, 1, nan], [2, 7, 2, 2, 1, 1, nan]) == paired_test(
        [5, 3, 0, 5, 1], [2, 2, 2, 1, 1]
    )


def test_an_infinite_distance_is_the_largest_difference() -> None:
    test = paired_test([math.inf, 1.0, 2.0], [3.0, 1.5, 3.0])
    assert (test.n_nonzero, test.statistic, test.mean_difference, test.median_difference) == (3, 3, math.inf, -0.5)


@pytest.mark.parametrize("pairs", [8, 11, 30, 200])
@pytest.mark.parametrize("decimals", [1, 12])
def test_equals_scipys_with_and_without_ties(pairs: int, decimals: int) -> None:
    generator = np.random.default_rng(pairs)
    a, b = generator.normal(0.2, 1, pairs).round(decimals), generator.normal(0, 1, pairs).round(decimals)
    differences = (a - b)[a != b]
    test = paired_test(a, b)
    assert test.statistic == wilcoxon(differences, alternative="greater").statistic
    assert test.p == pytest.approx(wilcoxon(differences).pvalue, rel=1e-12)


def test_equal_pairs_leave_p_exact() -> None:
    differences = np.array([*range(1, 19), -19.5, -20.5])
    assert paired_test([*differences, 0.0], np.zeros(21)).p == wilcoxon(differences, method="exact").pvalue


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=7))
@settings(max_examples=40)
def test_swapping_the_arms_swaps_the_signs(pairs: list[tuple[int, int]]) -> None:
    a, b = np.array(pairs).T
    test, swapped = paired_test(a, b), paired_test(b, a)
    ranks = test.n_nonzero * (test.n_nonzero + 1) / 2
    assert 0 < test.p <= 1
    assert swapped.p == pytest.approx(test.p)
    assert swapped.statistic == ranks - test.statistic
    assert swapped.mean_difference == -test.mean_difference
    assert test.first_is_better == (test.statistic > ranks / 2)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [([1, 2], [1], "one length"), ([[1]], [[2]], "two vectors"), ([math.nan], [1], "a pair"), ([], [], "a pair")],
)
def test_what_are_no_pairs_is_refused(a: list[float], b: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        paired_test(a, b)


@pytest.fixture
def dice() -> pd.DataFrame:
    """Of ten pairs: entropy is above random in all, by little; a strided choice is random's own, but for one case."""
    random = np.linspace(0.6, 0.8, 10)
    return pd.DataFrame(
        {"random": random, "entropy": random + np.arange(1, 11) / 100, "strided": [*random[:9], np.nan]},
    )


def test_all_pairs_with_holm_by_hand(dice: pd.DataFrame) -> None:
    found = compare(dice)
    assert [(one.arm, one.against) for one in found] == [
        ("random", "entropy"),
        ("random", "strided"),
        ("entropy", "strided"),
    ]
    assert [one.n for one in found] == [10, 9, 9]
    assert [one.n_nonzero for one in found] == [10, 0, 9]
    assert [one.p for one in found] == pytest.approx([2 / 2**10, 1, 2 / 2**9])
    # Three times the smallest, twice the next, once the last.
    assert [one.p_holm for one in found] == pytest.approx([6 / 2**10, 1, 4 / 2**9])


def test_each_against_one(dice: pd.DataFrame) -> None:
    found = compare(dice, against="random")
    assert [(one.arm, one.against) for one in found] == [("entropy", "random"), ("strided", "random")]
    assert found[0].mean_difference == pytest.approx(0.055)
    assert found[0].first_is_better
    assert [one.p_holm for one in found] == pytest.approx([4 / 2**10, 1])


def test_equals_scipy_and_statsmodels_called_by_themselves() -> None:
    values = np.random.default_rng(1).normal(size=(40, 4)) + np.array([0, 0.1, 0.3, 0.6])
    found = compare(pd.DataFrame(values, columns=list("abcd")))
    p = [wilcoxon(values[:, i], values[:, j]).pvalue for i in range(4) for j in range(i + 1, 4)]
    assert [one.p for one in found] == pytest.approx(p)
    assert [one.p_holm for one in found] == pytest.approx(multipletests(p, method="holm")[1])


def test_what_cannot_be_compared_is_refused(dice: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="two arms or more"):
        compare(dice[["random"]])
    with pytest.raises(ValueError, match=r"nobody among them, got \['random', 'entropy', 'strided'\]"):
        compare(dice, against="nobody")
    with pytest.raises(ValueError, match="each once"):
        compare(dice[["random", "random", "entropy"]])


def test_penalty_matrix_by_hand(dice: pd.DataFrame) -> None:
    # At the first step entropy beats both others, at the second nobody does, at the third strided beats random alone:
    # entropy is above it in half of the pairs, below in the others.
    level = dice.assign(entropy=dice["random"], strided=dice["random"])
    swinging = dice["random"] + np.tile([0.02, -0.02], 5) + np.linspace(0, 1e-3, 10)
    last = dice.assign(entropy=swinging, strided=dice["random"] + 0.01)
    matrix = penalty_matrix([dice, level, last])
    assert list(matrix.index) == list(matrix.columns) == ["random", "entropy", "strided"]
    np.testing.assert_allclose(matrix.to_numpy(), np.array([[0, 0, 0], [1, 0, 1], [1, 0, 0]]) / 3)


def test_the_level_of_the_matrix(dice: pd.DataFrame) -> None:
    # Over nine pairs p = 2 / 2^9, over ten half of it.
    assert penalty_matrix([dice], alpha=2 / 2**9).loc["entropy"].tolist() == [1, 0, 0]
    assert penalty_matrix([dice], alpha=2 / 2**9 + 1e-9).loc["entropy"].tolist() == [1, 0, 1]


def test_a_matrix_of_nothing_or_of_different_arms_is_refused(dice: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="one step or more"):
        penalty_matrix([])
    with pytest.raises(ValueError, match="the same arms"):
        penalty_matrix([dice, dice[["entropy", "random", "strided"]]])
