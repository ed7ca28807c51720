"""Quantile regression by hand and against statsmodels' formulas, a seed at a time."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy.stats import ttest_1samp

from activelabel.analysis.quantiles import quantile_effects


@pytest.fixture
def table() -> pd.DataFrame:
    """Four ways of sampling on 50 cases each, over four seeds."""
    generator = np.random.default_rng(4)
    rows = [
        (seed, sampling, unit, 0.95 - generator.gamma(2, 0.02) * scale)
        for seed in range(4)
        for sampling, unit, scale in (
            ("random", "volume", 2.0),
            ("random", "slice", 1.5),
            ("uncertain", "volume", 1.2),
            ("uncertain", "slice", 0.8),
        )
        for _ in range(50)
    ]
    made = pd.DataFrame(rows, columns=["seed", "sampling", "unit", "dice"])
    return made.assign(arm=made["sampling"] + "_" + made["unit"])


def test_effects_of_arms_are_differences_of_their_quantiles() -> None:
    # Of 30 values the 5th percentile is the second smallest: 1.5 values are below. Random: 0.01; BALD 0.03, USS 0.06.
    # With each seed the others gain 0.01: 0.01, 0.02 and 0.03 are added, 0.02 on average.
    values = {"bald": np.arange(30) * 0.01 + 0.02, "random": np.arange(30) / 100, "uss": np.arange(30) * 0.01 + 0.05}
    rows = [
        (seed, arm, value + 0.01 * (seed + 1) * (arm != "random"))
        for seed in range(3)
        for arm, each in values.items()
        for value in each
    ]
    table = pd.DataFrame(rows, columns=["seed", "arm", "dice"])
    intercept, bald, uss = quantile_effects(table, "dice", 0.05, {"arm": "random"})
    assert [(effect.factor, effect.level) for effect in (intercept, bald, uss)] == [
        ("Intercept", "random"),
        ("arm", "bald"),
        ("arm", "uss"),
    ]
    assert [effect.coefficient for effect in (intercept, bald, uss)] == pytest.approx([0.01, 0.04, 0.07], abs=1e-5)
    assert {(effect.n, effect.seeds) for effect in (intercept, bald, uss)} == {(270, 3)}
    # The standard deviation over seeds is 0.01; t with two degrees of freedom is 4.303.
    half = 4.302653 * 0.01 / np.sqrt(3)
    assert (bald.low, bald.high) == pytest.approx((0.04 - half, 0.04 + half), abs=1e-4)


@pytest.mark.parametrize("quantile", [0.05, 0.5, 0.95])
def test_one_factor_equals_statsmodels_formula_of_each_seed(table: pd.DataFrame, quantile: float) -> None:
    formula = "dice ~ C(arm, Treatment('random_volume'))"
    fits = [smf.quantreg(formula, of_seed).fit(q=quantile).params for _, of_seed in table.groupby("seed")]
    effects = {effect.level: effect for effect in quantile_effects(table, "dice", quantile, {"arm": "random_volume"})}
    assert list(effects) == ["random_volume", "random_slice", "uncertain_volume", "uncertain_slice"]
    for level, effect in effects.items():
        term = next((term for term in fits[0].index if f"T.{level}]" in term), "Intercept")
        of_seeds = [fit[term] for fit in fits]
        assert effect.coefficient == pytest.approx(np.mean(of_seeds), abs=1e-5)
        assert effect.p == pytest.approx(ttest_1samp(of_seeds, 0).pvalue, rel=1e-2)
        assert (effect.n, effect.seeds) == (800, 4)


def test_the_papers_two_factors_equal_statsmodels_formula(table: pd.DataFrame) -> None:
    table.loc[7, "dice"] = np.nan
    formula = "dice ~ C(sampling, Treatment('random')) + C(unit, Treatment('volume'))"
    fits = [smf.quantreg(formula, of_seed).fit(q=0.05).params for _, of_seed in table.groupby("seed")]
    effects = quantile_effects(table, "dice", 0.05, {"sampling": "random", "unit": "volume"})
    assert [(effect.factor, effect.level) for effect in effects] == [
        ("Intercept", "random, volume"),
        ("sampling", "uncertain"),
        ("unit", "slice"),
    ]
    assert [effect.coefficient for effect in effects] == pytest.approx(np.mean(fits, axis=0).tolist(), abs=1e-5)
    assert {effect.n for effect in effects} == {799}


@pytest.mark.parametrize(("seeds", "told"), [(2, False), (3, True)])
def test_too_few_seeds_have_no_interval_however_many_rows(table: pd.DataFrame, seeds: int, told: bool) -> None:
    for effect in quantile_effects(table[table["seed"] < seeds], "dice", 0.05, {"arm": "random_volume"}):
        assert (effect.low is not None, effect.high is not None, effect.p is not None) == (told,) * 3
        assert (effect.n, effect.seeds) == (seeds * 200, seeds)


def test_a_seed_without_one_of_the_arms_is_left_out(table: pd.DataFrame) -> None:
    without = table[(table["seed"] > 0) | (table["arm"] != "uncertain_slice")]
    assert {effect.seeds for effect in quantile_effects(without, "dice", 0.05, {"arm": "random_volume"})} == {3}


def test_tables_that_cannot_be_regressed_are_refused(table: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="'plain' and another level"):
        quantile_effects(table, "dice", 0.05, {"arm": "plain"})
    with pytest.raises(ValueError, match=r"another level, got \['random'\]"):
        quantile_effects(table[table["sampling"] == "random"], "dice", 0.05, {"sampling": "random"})
    both = table.assign(same=table["unit"])
    with pytest.raises(ValueError, match="always change together"):
        quantile_effects(both, "dice", 0.05, {"unit": "volume", "same": "volume"})
    apart = table[(table["seed"] == 0) == (table["unit"] == "volume")]
    with pytest.raises(ValueError, match="a seed with every level"):
        quantile_effects(apart, "dice", 0.05, {"unit": "volume"})
    table.loc[[3, 4], "dice"] = np.inf
    with pytest.raises(ValueError, match="2 infinite ones of 800"):
        quantile_effects(table, "dice", 0.95, {"arm": "random_volume"})
