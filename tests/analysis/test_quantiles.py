"""Quantile regression by hand and against statsmodels' formulas."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from activelabel.analysis.quantiles import quantile_effects


@pytest.fixture
def table() -> pd.DataFrame:
    """Four ways of sampling on 50 cases each."""
    generator = np.random.default_rng(4)
    rows = [
        (sampling, unit, 0.95 - generator.gamma(2, 0.02) * scale)
        for sampling, unit, scale in (
            ("random", "volume", 2.0),
            ("random", "slice", 1.5),
            ("uncertain", "volume", 1.2),
            ("uncertain", "slice", 0.8),
        )
        for _ in range(50)
    ]
    made = pd.DataFrame(rows, columns=["sampling", "unit", "dice"])
    return made.assign(arm=made["sampling"] + "_" + made["unit"])


def test_effects_of_arms_are_differences_of_their_quantiles() -> None:
    # Of 30 values the 5th percentile is the second smallest: 1.5 values are below. Random: 0.01; BALD 0.03, USS 0.06.
    values = {"bald": np.arange(30) * 0.01 + 0.02, "random": np.arange(30) / 100, "uss": np.arange(30) * 0.01 + 0.05}
    table = pd.DataFrame([(arm, value) for arm, each in values.items() for value in each], columns=["arm", "dice"])
    intercept, bald, uss = quantile_effects(table, "dice", 0.05, {"arm": "random"})
    assert [(effect.factor, effect.level) for effect in (intercept, bald, uss)] == [
        ("Intercept", "random"),
        ("arm", "bald"),
        ("arm", "uss"),
    ]
    assert [effect.coefficient for effect in (intercept, bald, uss)] == pytest.approx([0.01, 0.02, 0.05], abs=1e-5)
    assert {effect.n for effect in (intercept, bald, uss)} == {90}


@pytest.mark.parametrize("quantile", [0.05, 0.5, 0.95])
def test_one_factor_equals_statsmodels_formula(table: pd.DataFrame, quantile: float) -> None:
    fit = smf.quantreg("dice ~ C(arm, Treatment('random_volume'))", table).fit(q=quantile)
    effects = {effect.level: effect for effect in quantile_effects(table, "dice", quantile, {"arm": "random_volume"})}
    assert list(effects) == ["random_volume", "random_slice", "uncertain_volume", "uncertain_slice"]
    for level, effect in effects.items():
        term = next((term for term in fit.params.index if f"T.{level}]" in term), "Intercept")
        expected = [fit.params[term], *fit.conf_int().loc[term], fit.pvalues[term]]
        assert [effect.coefficient, effect.low, effect.high, effect.p] == pytest.approx(expected, rel=1e-3, abs=1e-6)
        assert effect.n == fit.nobs == 200


def test_the_papers_two_factors_equal_statsmodels_formula(table: pd.DataFrame) -> None:
    table.loc[7, "dice"] = np.nan
    fit = smf.quantreg("dice ~ C(sampling, Treatment('random')) + C(unit, Treatment('volume'))", table).fit(q=0.05)
    effects = quantile_effects(table, "dice", 0.05, {"sampling": "random", "unit": "volume"})
    assert [(effect.factor, effect.level) for effect in effects] == [
        ("Intercept", "random, volume"),
        ("sampling", "uncertain"),
        ("unit", "slice"),
    ]
    assert [effect.coefficient for effect in effects] == pytest.approx(fit.params.tolist(), abs=1e-5)
    assert [effect.p for effect in effects] == pytest.approx(fit.pvalues.tolist(), rel=1e-2)
    assert {effect.n for effect in effects} == {199}
    # The worst cases of uncertain slices are better by construction.
    assert all(effect.low is not None and effect.low > 0 for effect in effects)


@pytest.mark.parametrize(("rows", "told"), [(76, False), (78, True)])
def test_too_few_rows_have_no_interval(rows: int, told: bool) -> None:
    table = pd.DataFrame({"arm": ["random", "bald"] * (rows // 2), "dice": np.linspace(0.5, 0.9, rows)})
    for effect in quantile_effects(table, "dice", 0.05, {"arm": "random"}):
        assert (effect.low is not None, effect.high is not None, effect.p is not None) == (told,) * 3
        assert effect.n == rows


def test_what_cannot_be_regressed_is_refused(table: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="'plain' and another level"):
        quantile_effects(table, "dice", 0.05, {"arm": "plain"})
    with pytest.raises(ValueError, match=r"another level, got \['random'\]"):
        quantile_effects(table[table["sampling"] == "random"], "dice", 0.05, {"sampling": "random"})
    both = table.assign(same=table["unit"])
    with pytest.raises(ValueError, match="always change together"):
        quantile_effects(both, "dice", 0.05, {"unit": "volume", "same": "volume"})
    table.loc[[3, 4], "dice"] = np.inf
    with pytest.raises(ValueError, match="2 infinite ones of 200"):
        quantile_effects(table, "dice", 0.95, {"arm": "random_volume"})
