"""Learning curves by hand, by closed form, and against scipy's curve fit."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from activelabel.analysis.curves import aubc, effort_to_reach, foreground_efficiency, last_within

EFFORT = [0.0, 1.0, 3.0, 4.0]
VALUES = [0.2, 0.6, 0.8, 0.4]


def test_area_by_hand() -> None:
    # 0.4 + 2 * 0.7 + 0.6 over a range of 4.
    assert aubc(EFFORT, VALUES) == pytest.approx(2.4 / 4)


def test_area_of_a_line_is_its_value_half_way() -> None:
    effort = np.array([2.0, 3.0, 7.0, 12.0])
    assert aubc(effort, 0.1 + 0.05 * effort) == pytest.approx(0.1 + 0.05 * 7)


def test_a_round_without_effort_makes_the_curve_jump() -> None:
    effort, values = [0, 1, 1, 2], [0.0, 0.0, 0.8, 0.8]
    assert aubc(effort, values) == pytest.approx(0.4)
    assert last_within(effort, 1) == 2
    assert effort_to_reach(effort, values, 0.5) == 1


CURVES = st.integers(2, 8).flatmap(
    lambda steps: st.tuples(
        st.lists(st.integers(1, 50), min_size=steps, max_size=steps),
        st.lists(st.floats(0, 1), min_size=steps, max_size=steps),
    )
)


@given(CURVES)
def test_the_area_lies_between_the_least_and_the_largest_value(curve: tuple[list[int], list[float]]) -> None:
    assert min(curve[1]) - 1e-12 <= aubc(np.cumsum(curve[0]), curve[1]) <= max(curve[1]) + 1e-12


def test_a_budget_has_the_last_model_it_paid_for() -> None:
    assert [last_within(EFFORT, budget) for budget in (0.25, 2.8, 4, 100)] == [0, 1, 3, 3]


def test_a_model_may_exceed_the_budget_by_a_twentieth() -> None:
    assert last_within([50, 73.5], 70) == 1
    assert last_within([50, 73.6], 70) == 0


def test_effort_of_the_first_model_that_reaches_it() -> None:
    assert effort_to_reach(EFFORT, VALUES, 0.7) == 3
    assert effort_to_reach(EFFORT, VALUES, 0.6) == 1
    assert effort_to_reach(EFFORT, VALUES, 0.1) == 0  # The curve begins above the value.
    assert effort_to_reach(EFFORT, VALUES, 0.81) is None


@given(CURVES, st.floats(0, 1))
def test_the_value_at_the_effort_that_reaches_it(curve: tuple[list[int], list[float]], wanted: float) -> None:
    effort, values = np.cumsum(curve[0]).astype(float), curve[1]
    reached = effort_to_reach(effort, values, wanted)
    assert (reached is None) == (max(values) < wanted)
    if reached is not None:
        assert values[list(effort).index(reached)] >= wanted
        assert all(value < wanted for step, value in zip(effort, values, strict=True) if step < reached)


@pytest.mark.parametrize("rate", [5e-2, 3e-4, 1e-5, -1e-4])
def test_efficiency_of_an_exponential_curve_is_its_rate(rate: float) -> None:
    voxels = np.array([100.0, 300, 1000, 2500, 7000])
    values = 0.9 - 0.2 * np.exp(-rate * (voxels - 100))
    assert foreground_efficiency(voxels, values, 0.9) == pytest.approx(rate, rel=1e-6)
    share = voxels / 50_000  # Of the pool's foreground, as the paper has it.
    assert foreground_efficiency(share, values, 0.9) == pytest.approx(rate * 50_000, rel=1e-6)


def test_efficiency_by_hand() -> None:
    # Half of the gap of 0.2 is left after 10 voxels: ln 2 / 10. A round without foreground counts with the start.
    assert foreground_efficiency([5, 15], [0.6, 0.7], 0.8) == pytest.approx(np.log(2) / 10)
    assert foreground_efficiency([5, 5, 15], [0.5, 0.7, 0.7], 0.8) == pytest.approx(np.log(2) / 10)
    assert foreground_efficiency([5, 15, 25], [0.6, 0.6, 0.6], 0.8) == 0


def test_efficiency_equals_scipys_fit() -> None:
    voxels = np.array([10.0, 25, 30, 70, 110, 200])
    values = np.array([0.61, 0.68, 0.66, 0.75, 0.81, 0.84])

    def gap(x: np.ndarray, rate: float) -> np.ndarray:
        return 0.85 - 0.24 * np.exp(-rate * (x - 10))

    (rate,), _ = curve_fit(gap, voxels, values, p0=[0.01])
    assert foreground_efficiency(voxels, values, 0.85) == pytest.approx(rate, rel=1e-6)


def test_a_gap_closed_at_once_is_a_large_rate() -> None:
    # A millionth of the gap is left after 10 voxels, at most.
    assert foreground_efficiency([0, 10, 20], [0.5, 0.9, 0.95], 0.9) == pytest.approx(np.log(1e6) / 10, rel=1e-3)


@given(CURVES, st.floats(0.3, 1))
def test_the_fitted_efficiency_is_the_rate_with_the_least_error(
    curve: tuple[list[int], list[float]], full: float
) -> None:
    voxels, values = np.cumsum(curve[0]).astype(float), np.array(curve[1])
    assume(full - values[0] > 0.01)
    spent, left = voxels[1:] - voxels[0], (full - values[1:]) / (full - values[0])

    def misfit(rate: float) -> float:
        return float(np.square(np.exp(-rate * spent) - left).sum())

    found = misfit(foreground_efficiency(voxels, values, full))
    unclosed = 3e-6 * abs(left).sum() + 1e-9  # A millionth of the gap always remains, which bounds the error.
    assert found <= min(misfit(rate) for rate in np.linspace(-1, 1, 401)) * (1 + 1e-6) + unclosed


@pytest.mark.parametrize(
    ("effort", "values", "message"),
    [
        ([1], [0.5], "two steps or more"),
        ([1, 2], [0.5], "one length"),
        ([[1, 2]], [[0.5, 0.6]], "one length"),
        ([2, 1], [0.5, 0.6], "never falls"),
        ([1, np.inf], [0.5, 0.6], "finite"),
        ([1, 2], [0.5, np.nan], "finite"),
    ],
)
def test_arrays_that_form_no_curve_are_refused(effort: list[float], values: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        aubc(effort, values)
    with pytest.raises(ValueError, match=message):
        foreground_efficiency(effort, values, 0.9)


def test_a_curve_that_costs_nothing_has_no_area() -> None:
    with pytest.raises(ValueError, match="a range of effort"):
        aubc([3, 3], [0.1, 0.2])


@pytest.mark.parametrize("budget", [-0.1, np.nan])
def test_a_budget_below_the_first_model_is_refused(budget: float) -> None:
    with pytest.raises(ValueError, match="a budget of 0, which the first model cost"):
        last_within(EFFORT, budget)


def test_efficiency_without_a_gap_or_foreground_is_refused() -> None:
    for values, full in (([0.8, 0.9], 0.8), ([0.8, 0.9], np.nan)):
        with pytest.raises(ValueError, match="a start below"):
            foreground_efficiency([1, 2], values, full)
    with pytest.raises(ValueError, match="foreground that grows"):
        foreground_efficiency([2, 2], [0.5, 0.6], 0.9)
