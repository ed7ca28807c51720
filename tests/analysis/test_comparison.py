"""Tests over seeds by hand, against scipy and statsmodels, and on experiments in which no arm is better."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_rel, wilcoxon
from statsmodels.stats.multitest import multipletests

from activelabel.analysis.comparison import FEWEST_SEEDS, compare, holm, mean_and_interval, penalty_matrix, seed_test

T_975_OF_2 = 4.302652729911275  # The 97.5th percentile of Student's t with two degrees of freedom, from a table.


def test_three_seeds_by_hand() -> None:
    # Differences 1, 2, 3: mean 2, standard deviation 1, standard error 1 / sqrt 3, t = 2 sqrt 3. With two degrees of
    # freedom P(|T| > t) = 1 - t / sqrt(t^2 + 2).
    t = 2 * math.sqrt(3)
    test = seed_test([2, 4, 6], [1, 2, 3])
    assert (test.seeds, test.seeds_better, test.mean_difference, test.told) == (3, 3, 2, True)
    assert test.p == pytest.approx(1 - t / math.sqrt(t**2 + 2))
    assert (test.low, test.high) == pytest.approx((2 - T_975_OF_2 / math.sqrt(3), 2 + T_975_OF_2 / math.sqrt(3)))
    assert test.first_is_better


@pytest.mark.parametrize("seeds", range(1, FEWEST_SEEDS))
def test_too_few_seeds_have_a_difference_and_no_p(seeds: int) -> None:
    test = seed_test(np.full(seeds, 0.8), np.full(seeds, 0.5))
    assert (test.seeds, test.mean_difference, test.told) == (seeds, pytest.approx(0.3), False)
    assert test.why_untold == "too few seeds"
    assert all(math.isnan(number) for number in (test.low, test.high, test.p))


def test_arms_that_are_the_same_but_for_rounding_do_not_differ() -> None:
    test = seed_test([0.1 + 0.2, 0.7, 0.9], [0.3, 0.7, 0.9])
    assert (test.mean_difference, test.low, test.high, test.p, test.seeds_better) == (0, 0, 0, 1, 0)
    assert not test.first_is_better
    assert (test.told, test.why_untold) == (True, "")


def test_a_difference_that_is_the_same_in_all_seeds_is_not_tested() -> None:
    test = seed_test([0.75, 0.5, 1.0], [0.5, 0.25, 0.75])
    assert (test.mean_difference, test.seeds_better) == (0.25, 3)
    assert all(math.isnan(number) for number in (test.low, test.high, test.p))
    assert (test.told, test.why_untold) == (False, "the same in each seed")
    steps = [pd.DataFrame({"one": [0.75, 0.5, 1.0], "other": [0.5, 0.25, 0.75]})]
    assert penalty_matrix(steps).to_numpy().tolist() == [[0, 0], [0, 0]]


def test_seeds_with_a_nan_are_left_out() -> None:
    nan = math.nan
    assert seed_test([2, nan, 4, 6, 1], [1, 7, 2, 3, nan]) == seed_test([2, 4, 6], [1, 2, 3])


@pytest.mark.parametrize("seeds", [3, 4, 10, 50])
def test_p_values_equal_scipys(seeds: int) -> None:
    generator = np.random.default_rng(seeds)
    a, b = generator.normal(0.2, 1, seeds), generator.normal(0, 1, seeds)
    test, theirs = seed_test(a, b), ttest_rel(a, b)
    interval = theirs.confidence_interval()
    assert (test.p, test.low, test.high) == pytest.approx((theirs.pvalue, interval.low, interval.high))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=3, max_size=7))
@settings(max_examples=40)
def test_swapping_the_arms_swaps_the_signs(values: list[tuple[int, int]]) -> None:
    a, b = np.array(values).T
    test, swapped = seed_test(a, b), seed_test(b, a)
    assert not test.told or 0 <= test.p <= 1
    assert swapped.p == pytest.approx(test.p, nan_ok=True)
    assert (swapped.low, swapped.high) == pytest.approx((-test.high, -test.low), nan_ok=True)
    assert swapped.mean_difference == -test.mean_difference


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [([1, 2], [1], "one length"), ([[1]], [[2]], "two vectors"), ([math.nan], [1], "finite"), ([], [], "one seed"),
     ([math.inf, 1], [1, 1], "finite")],
)  # fmt: skip
def test_values_that_are_no_list_of_seeds_are_refused(a: list[float], b: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        seed_test(a, b)


def test_an_interval_of_one_vector_is_that_of_its_differences_to_nothing() -> None:
    mean, low, high, p = mean_and_interval([1, 2, 3])
    assert (low + high) / 2 == pytest.approx(mean) == 2
    assert p == seed_test([1, 2, 3], [0, 0, 0]).p


def test_holm_by_hand_and_like_statsmodels() -> None:
    # 4 * .01, then 3 * .02 = .06, then 2 * .03 = .06, and .04 once is less than the one before.
    assert holm([0.02, 0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.06, 0.04, 0.06])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []
    p = np.random.default_rng(0).uniform(size=30).tolist()
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_holm_does_not_count_missing_p_values() -> None:
    corrected = holm([0.01, math.nan, 0.03])
    assert [corrected[0], corrected[2]] == pytest.approx([0.02, 0.03])
    assert math.isnan(corrected[1])


@pytest.fixture
def dice() -> pd.DataFrame:
    """Dice of five seeds: entropy is above random in all; strided equals random in all seeds except one."""
    random = np.linspace(0.6, 0.8, 5)
    return pd.DataFrame(
        {"random": random, "entropy": random + np.arange(4, 9) / 100, "strided": [*random[:4], np.nan]},
    )


def test_all_pairs_are_corrected_together(dice: pd.DataFrame) -> None:
    found = compare(dice)
    assert [(one.arm, one.against) for one in found] == [
        ("random", "entropy"),
        ("random", "strided"),
        ("entropy", "strided"),
    ]
    assert [one.seeds for one in found] == [5, 4, 4]
    p = [one.p for one in found]
    assert [one.p_holm for one in found] == pytest.approx([3 * p[0], 1, 2 * p[2]])


def test_each_arm_is_compared_with_one_reference_arm(dice: pd.DataFrame) -> None:
    found = compare(dice, against="random")
    assert [(one.arm, one.against) for one in found] == [("entropy", "random"), ("strided", "random")]
    assert found[0].mean_difference == pytest.approx(0.06)
    assert [one.p_holm for one in found] == pytest.approx([2 * found[0].p, 1])


def test_arms_that_cannot_be_compared_are_refused(dice: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="two arms or more"):
        compare(dice[["random"]])
    with pytest.raises(ValueError, match=r"nobody among them, got \['random', 'entropy', 'strided'\]"):
        compare(dice, against="nobody")
    with pytest.raises(ValueError, match="each once"):
        compare(dice[["random", "random", "entropy"]])


def made_up_seeds(generator: np.random.Generator, arms: int, seeds: int, cases: int = 16) -> np.ndarray:
    """Return Dice (seeds, cases, arms) of equally good arms: each run and each case has its own level."""
    run = generator.normal(0, 0.03, (seeds, 1, arms))
    return 0.8 + run + generator.normal(0, 0.05, (1, cases, 1)) + generator.normal(0, 0.02, (seeds, cases, arms))


def test_false_findings_among_equal_arms_are_no_more_than_chance_allows() -> None:
    """A headline is false in at most 7 % of 600 experiments; over (seed, case) pairs it would be in most of them."""
    generator = np.random.default_rng(0)
    false, false_over_pairs, experiments = 0, 0, 600
    for number in range(experiments):
        dice = made_up_seeds(generator, arms=4, seeds=3 + number % 4)
        false += any(test.p_holm < 0.05 for test in compare(pd.DataFrame(dice.mean(axis=1), columns=list("abcd"))))
        if number < 60:
            pairs = dice.reshape(-1, 4)
            false_over_pairs += wilcoxon(pairs[:, 0], pairs[:, 1]).pvalue < 0.05
    assert false / experiments <= 0.07
    assert false_over_pairs / 60 > 0.3


def test_a_true_difference_is_found() -> None:
    generator = np.random.default_rng(1)
    found = [seed_test(dice[..., 0].mean(axis=1) + 0.1, dice[..., 1].mean(axis=1)).p < 0.05
             for dice in (made_up_seeds(generator, 2, 6) for _ in range(50))]  # fmt: skip
    assert np.mean(found) > 0.9


def test_penalty_matrix_by_hand(dice: pd.DataFrame) -> None:
    # At the first step entropy beats both others, at the second no arm wins, at the third strided beats random alone:
    # entropy is above random in some seeds, below in the others.
    level = dice.assign(entropy=dice["random"], strided=dice["random"])
    swinging = dice["random"] + [0.02, -0.02, 0.02, -0.02, 0.0]
    third = dice.assign(entropy=swinging, strided=dice["random"] + [0.01, 0.011, 0.009, 0.01, 0.011])
    matrix = penalty_matrix([dice, level, third])
    assert list(matrix.index) == list(matrix.columns) == ["random", "entropy", "strided"]
    np.testing.assert_allclose(matrix.to_numpy(), np.array([[0, 0, 0], [1, 0, 1], [1, 0, 0]]) / 3)


def test_the_level_of_the_matrix(dice: pd.DataFrame) -> None:
    p = seed_test(dice["entropy"], dice["random"]).p
    assert penalty_matrix([dice], alpha=p).loc["entropy", "random"] == 0
    assert penalty_matrix([dice], alpha=p * 1.0001).loc["entropy", "random"] == 1


def test_a_matrix_of_nothing_or_of_different_arms_is_refused(dice: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="one step or more"):
        penalty_matrix([])
    with pytest.raises(ValueError, match="the same arms"):
        penalty_matrix([dice, dice[["entropy", "random", "strided"]]])
