"""The power law through points without noise, against scipy's own fit, and the forecast derived from it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit, lsq_linear

from activelabel.analysis.forecast import PowerLaw, _fit, fit_power_law, forecast

EFFORT = np.array([5.0, 10, 15, 20, 30])


def curve(effort: np.ndarray, plateau: float, scale: float, rate: float) -> np.ndarray:
    return plateau - scale * effort**-rate


@pytest.mark.parametrize(
    ("plateau", "scale", "rate"), [(0.9, 0.8, 0.7), (0.95, 0.5, 0.2), (0.8, 1.0, 1.5), (1, 0.9, 0.5)]
)
@pytest.mark.parametrize("unit", [1.0, 1e5])
def test_points_without_noise_give_their_law(plateau: float, scale: float, rate: float, unit: float) -> None:
    law = fit_power_law(EFFORT * unit, curve(EFFORT, plateau, scale, rate))
    assert law.plateau == pytest.approx(plateau, abs=1e-5)
    assert law.rate == pytest.approx(rate, abs=1e-5)
    assert law.scale == pytest.approx(scale * unit**rate, rel=1e-4)
    assert law(40 * unit) == pytest.approx(plateau - scale * 40**-rate, abs=1e-6)


def test_a_law_by_hand() -> None:
    assert PowerLaw(plateau=0.9, scale=0.4, rate=0.5)(16) == pytest.approx(0.8)


def test_equals_scipys_curve_fit_of_noisy_points() -> None:
    dice = curve(EFFORT, 0.9, 0.8, 0.7) + np.array([0.004, -0.006, 0.003, 0.002, -0.004])
    expected, _ = curve_fit(curve, EFFORT, dice, p0=[0.9, 0.8, 0.7], bounds=([0, 0, 0], [1, np.inf, 5]))
    law = fit_power_law(EFFORT, dice)
    assert [law.plateau, law.scale, law.rate] == pytest.approx(expected.tolist(), rel=1e-3)


def test_the_order_of_the_points_does_not_matter() -> None:
    dice = curve(EFFORT, 0.9, 0.8, 0.7) + np.array([0.004, -0.006, 0.003, 0.002, -0.004])
    assert fit_power_law(EFFORT[::-1], dice[::-1])(50) == pytest.approx(fit_power_law(EFFORT, dice)(50), abs=1e-7)


@pytest.mark.parametrize("dice", [[0.8, 0.8, 0.8, 0.8, 0.8], [0.84, 0.82, 0.8, 0.78, 0.76]])
def test_the_law_of_points_that_do_not_rise_is_flat(dice: list[float]) -> None:
    law = fit_power_law(EFFORT, dice)
    assert [law(effort) for effort in (5, 30, 1000)] == pytest.approx([0.8] * 3, abs=1e-8)


def test_the_plateau_stays_below_one() -> None:
    # Straight up: without the bound the best curve would rise for ever.
    law = fit_power_law(EFFORT, 0.5 + 0.015 * EFFORT)
    assert law.plateau <= 1
    assert law(1e9) <= 1


@pytest.mark.parametrize("rate", [0.1, 0.7, 2.0])
def test_bootstrapped_curves_are_as_near_as_scipys_within_the_bounds(rate: float) -> None:
    # Straight up, falling, bent: with the plateau at its bound, the scale at its, and neither.
    curves = np.array([0.5 + 0.015 * EFFORT, 0.8 - 0.01 * EFFORT, curve(EFFORT, 0.9, 0.8, 0.7)])
    design = np.column_stack([np.ones(5), -((EFFORT / 5) ** -rate)])
    for dice, *found in zip(curves, *_fit(EFFORT / 5, curves, np.array([rate])), strict=True):
        best = lsq_linear(design, dice, ([-np.inf, 0], [1, np.inf]), tol=1e-14)
        assert [*best.x, rate] == pytest.approx(found, abs=1e-5)


def test_a_forecast_without_noise_is_the_law() -> None:
    found = forecast(EFFORT, curve(EFFORT, 0.9, 0.8, 0.7), more=10)
    assert (found.at, found.n) == (40, 5)
    assert found.expected == pytest.approx(0.9 - 0.8 * 40**-0.7, abs=1e-6)
    assert found.gain_expected == pytest.approx(0.8 * (30**-0.7 - 40**-0.7), abs=1e-6)
    # Nothing is uncertain.
    assert [found.low, found.high] == pytest.approx([found.expected] * 2, abs=1e-6)
    assert [found.gain_low, found.gain_high] == pytest.approx([found.gain_expected] * 2, abs=1e-6)
    assert found.sentence == (
        "The next 10 volumes would bring about +0.013 Dice (95 % between +0.013 and +0.013, from 5 models): go on."
    )


def test_the_advice_follows_what_is_worthwhile() -> None:
    dice = curve(EFFORT, 0.9, 0.8, 0.7) + np.array([0.004, -0.006, 0.003, 0.002, -0.004])
    gain = forecast(EFFORT, dice, 10)
    assert gain.gain_low is not None
    assert gain.gain_expected is not None
    assert gain.gain_high is not None
    assert gain.gain_low < gain.gain_expected < gain.gain_high
    below, between, above = gain.gain_expected - 1e-6, gain.gain_expected + 1e-6, gain.gain_high + 1e-6
    assert forecast(EFFORT, dice, 10, below).sentence.endswith(": go on.")
    assert forecast(EFFORT, dice, 10, between).sentence.endswith(
        ": probably not worth it, look again after a few more."
    )
    assert forecast(EFFORT, dice, 10, above, unit="slices").sentence.endswith(": you can stop.")
    assert forecast(EFFORT, dice, 10, unit="slices").sentence.startswith("The next 10 slices would bring about +0.")


def test_the_interval_covers_the_true_value_about_as_often_as_it_claims() -> None:
    # With five points; 95 % of 40 are 38, and 33 or more in 999 of 1000 draws.
    generator = np.random.default_rng(0)
    true_dice, gain = curve(EFFORT, 0.9, 0.8, 0.7), 0.8 * (30**-0.7 - 40**-0.7)
    found = [forecast(EFFORT, true_dice + generator.normal(0, 0.005, 5), 10) for _ in range(40)]
    assert sum(one.gain_low <= gain <= one.gain_high for one in found) >= 33  # type: ignore[operator]
    assert sum(one.low <= 0.9 - 0.8 * 40**-0.7 <= one.high for one in found) >= 33  # type: ignore[operator]


def test_the_interval_widens_with_scatter_and_narrows_with_more_models() -> None:
    noise = np.array([0.004, -0.006, 0.003, 0.002, -0.004])
    true_dice = curve(EFFORT, 0.9, 0.8, 0.7)

    def width(effort: np.ndarray, dice: np.ndarray) -> float:
        found = forecast(effort, dice, 10)
        assert found.high is not None
        assert found.low is not None
        return found.high - found.low

    assert width(EFFORT, true_dice + 3 * noise) > 2 * width(EFFORT, true_dice + noise)
    assert width(np.tile(EFFORT, 4), np.tile(true_dice + noise, 4)) < width(EFFORT, true_dice + noise) / 2


@pytest.mark.parametrize(
    ("effort", "dice", "told"),
    [
        ([5], [0.7], "1 with 1"),
        ([5, 10], [0.7, 0.8], "2 with 2"),
        ([5, 10, 15], [0.7, 0.8, 0.85], "3 with 3"),  # The points fit exactly, so that the uncertainty is unknown.
        ([5, 5, 10, 10], [0.7, 0.72, 0.8, 0.81], "4 with 2"),
    ],
)
def test_with_too_few_points_the_advice_is_too_early(effort: list[float], dice: list[float], told: str) -> None:
    found = forecast(effort, dice, more=5, unit="slices")
    numbers = (found.expected, found.low, found.high, found.gain_expected, found.gain_low, found.gain_high)
    assert numbers == (None,) * 6
    assert (found.at, found.n) == (max(effort) + 5, len(effort))
    assert found.sentence == (
        "It is too early for a forecast: it takes 4 models, trained with 3 different numbers of slices at least, "
        f"and so far there are {told}."
    )


def test_four_points_of_three_efforts_are_enough_for_a_forecast() -> None:
    assert forecast([5, 5, 10, 20], [0.7, 0.71, 0.8, 0.84], more=5).gain_high is not None


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 40), st.floats(0, 1)), min_size=4, max_size=8), st.integers(1, 50))
def test_forecasts_never_fall_and_stay_between_0_and_1(points: list[tuple[int, float]], more: int) -> None:
    effort, dice = np.array(points).T
    found = forecast(effort, dice, more)
    if len(set(effort)) < 3:
        assert found.expected is None
        return
    assert found.expected is not None
    assert found.gain_low is not None
    assert found.gain_high is not None
    assert found.gain_expected is not None
    assert found.high is not None
    assert 0 <= found.gain_low <= found.gain_high
    assert found.gain_expected >= 0
    assert found.expected <= 1
    assert found.high <= 1


def test_the_same_seed_gives_the_same_interval() -> None:
    dice = [0.7, 0.79, 0.8, 0.84, 0.83]
    first, again, other = (forecast(EFFORT, dice, 10, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.low != other.low


@pytest.mark.parametrize(
    ("effort", "dice", "message"),
    [
        ([1, 2, 3], [0.5, 0.6], "one length"),
        ([], [], "a point or more"),
        ([0, 2, 3], [0.5, 0.6, 0.7], "effort above 0"),
        ([1, 2, np.inf], [0.5, 0.6, 0.7], "effort above 0"),
        ([1, 2, 3], [0.5, 0.6, 1.1], r"Dice in \[0, 1\]"),
        ([1, 2, 3], [0.5, 0.6, np.nan], r"Dice in \[0, 1\]"),
        ([1, 2, 3], [0.5, -0.6, 0.7], r"Dice in \[0, 1\]"),
    ],
)
def test_arrays_that_form_no_learning_curve_are_refused(effort: list[float], dice: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_power_law(effort, dice)
    with pytest.raises(ValueError, match=message):
        forecast(effort, dice, 1)


def test_two_efforts_have_no_law() -> None:
    with pytest.raises(ValueError, match="3 different efforts"):
        fit_power_law([5, 5, 10], [0.7, 0.71, 0.8])


@pytest.mark.parametrize("more", [0, -1, np.nan])
def test_a_forecast_looks_ahead(more: float) -> None:
    with pytest.raises(ValueError, match="more: expected effort above 0"):
        forecast(EFFORT, [0.7, 0.8, 0.8, 0.85, 0.86], more)
