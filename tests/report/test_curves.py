"""Curves at equal effort, with areas worked out by hand, for arms with different rounds."""

import numpy as np
import pandas as pd
import pytest

from activelabel.report.curves import (
    at_equal_effort,
    learning_curves,
    models_within,
    over_cases,
    over_effort,
)

Runs = dict[tuple[str, int], tuple[list[float], list[float]]]
"""Of an arm and seed the effort of each round, and the Dice of its one test case."""


def tables(runs: Runs, cases: dict[str, float] | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return effort and Dice as results give them; `cases` holds the offset of each case from the curve."""
    rows = [
        {"arm": arm, "seed": seed, "round": number, "slices": effort, "dice": dice}
        for (arm, seed), (efforts, dices) in runs.items()
        for number, (effort, dice) in enumerate(zip(efforts, dices, strict=True))
    ]
    frame = pd.DataFrame(rows)
    beside = (cases or {"t": 0.0}).items()
    dice = pd.concat([frame.assign(case=case, dice=frame["dice"] + offset) for case, offset in beside])
    return frame.drop(columns="dice"), dice.drop(columns="slices")


def test_arms_are_compared_by_the_models_they_have_at_what_the_slowest_paid_for() -> None:
    equal = at_equal_effort(
        *tables({("a", 0): ([10, 20, 30], [0.5, 0.7, 0.9]), ("b", 0): ([5, 25], [0.4, 0.8])}), "slices"
    )
    assert equal is not None
    assert equal.budgets == (10, 25)
    # At 10, a has its first model and b its first; at 25, a its second (20) and b its second. No model was in between.
    assert equal.aubc.loc[(0, "t")].to_dict() == pytest.approx({"a": (0.5 + 0.7) / 2, "b": (0.4 + 0.8) / 2})
    assert equal.final.loc[(0, "t")].to_dict() == {"a": 0.7, "b": 0.8}


def test_efforts_that_differ_by_one_slice_count_as_equal() -> None:
    runs: Runs = {("a", 0): ([24, 48, 72], [0.1, 0.2, 0.4]), ("b", 0): ([24, 49, 73], [0.1, 0.2, 0.6])}
    equal = at_equal_effort(*tables(runs), "slices")
    assert equal is not None
    assert equal.budgets == (24, 48, 72)
    assert equal.final.loc[(0, "t")].to_dict() == {"a": 0.4, "b": 0.6}


def test_cases_are_averaged_before_seeds_are_tested() -> None:
    runs: Runs = {(arm, seed): ([1, 2], [0.1 * seed, 0.2 * seed]) for arm in "ab" for seed in (1, 2)}
    equal = at_equal_effort(*tables(runs, {"t": 0.1, "u": -0.3}), "slices")
    assert equal is not None
    assert over_cases(equal.final).to_dict() == {arm: pytest.approx({1: 0.1, 2: 0.3}) for arm in "ab"}


def test_models_within_a_budget_are_the_last_of_each_run() -> None:
    efforts, dice = tables({("a", 0): ([10, 20, 30], [0.5, 0.7, 0.9]), ("b", 0): ([5, 21, 40], [0.4, 0.8, 0.9])})
    within = models_within(dice, efforts, "slices", 20)
    assert dict(zip(within["arm"], within["dice"], strict=True)) == {"a": 0.7, "b": 0.8}


def test_steps_are_the_rounds_where_all_arms_pay_alike_for_them() -> None:
    runs: Runs = {("a", 0): ([4, 6, 8], [0.1, 0.2, 0.4]), ("b", 0): ([4, 6, 8], [0.1, 0.5, 0.6])}
    equal = at_equal_effort(*tables(runs), "slices")
    assert equal is not None
    assert [step.loc[(0, "t")].to_list() for step in equal.steps] == [
        pytest.approx([0.2, 0.5]),
        pytest.approx([0.4, 0.6]),
    ]


def test_a_run_that_stopped_shortens_the_range_and_one_of_a_single_round_is_left_out() -> None:
    runs: Runs = {
        ("a", 0): ([1, 2, 3], [0.1, 0.2, 0.3]), ("a", 1): ([1, 2], [0.1, 0.2]), ("b", 0): ([1, 2, 3], [0.1, 0.2, 0.3]),
        ("b", 1): ([1], [0.1]),
    }  # fmt: skip
    equal = at_equal_effort(*tables(runs), "slices")
    assert equal is not None
    assert equal.high == 2
    assert list(equal.aubc.index) == [(0, "t")]
    assert equal.aubc.loc[(0, "t"), "a"] == pytest.approx(0.15)


def test_the_last_of_several_rounds_without_cost_counts() -> None:
    equal = at_equal_effort(*tables({("a", 0): ([1, 3, 3], [0.1, 0.2, 0.5]), ("b", 0): ([1, 3], [0.1, 0.5])}), "slices")
    assert equal is not None
    assert equal.aubc.loc[(0, "t")].to_dict() == pytest.approx({"a": 0.3, "b": 0.3})


def test_a_case_that_cannot_be_judged_everywhere_is_no_pair() -> None:
    efforts, dice = tables({("a", 0): ([1, 2], [0.1, 0.2]), ("b", 0): ([1, 2], [0.1, 0.2])}, {"t": 0.0, "u": 0.1})
    dice.loc[(dice["arm"] == "a") & (dice["case"] == "u") & (dice["round"] == 1), "dice"] = np.nan
    equal = at_equal_effort(efforts, dice, "slices")
    assert equal is not None
    assert list(equal.aubc.index) == list(equal.final.index) == [(0, "t")]


@pytest.mark.parametrize(
    "runs",
    [
        {("a", 0): ([1, 2], [0.1, 0.2]), ("b", 0): ([2, 3], [0.1, 0.2])},
        {("a", 0): ([1, 2], [0.1, 0.2]), ("b", 1): ([1, 2], [0.1, 0.2])},
        {("a", 0): ([1], [0.1])},
    ],
    ids=["no range", "no pair", "no curve"],
)
def test_without_anything_in_common_nothing_is_compared(runs: Runs) -> None:
    assert at_equal_effort(*tables(runs), "slices") is None


def test_a_learning_curve_is_the_mean_of_what_there_is_at_the_mean_effort() -> None:
    runs: Runs = {("a", 0): ([2, 4, 9], [0.2, 0.4, 0.6]), ("a", 1): ([4, 8], [0.4, 0.6]), ("b", 0): ([1], [0.3])}
    efforts, dice = tables(runs, {"t": 0.1, "u": -0.1})
    curves = over_effort(learning_curves(dice), efforts, "slices")
    assert list(curves["a"].effort) == [3, 6, 9]
    np.testing.assert_allclose(curves["a"].dice.mean, [0.3, 0.5, 0.6])
    assert (curves["a"].dice.low <= curves["a"].dice.mean).all()
    assert (curves["a"].dice.seeds, curves["a"].dice.cases) == (2, 2)
    assert list(curves["b"].effort) == [1]


def test_a_dear_seed_that_stopped_early_turns_no_curve_back() -> None:
    efforts, dice = tables({("a", 0): ([2, 3], [0.2, 0.4]), ("a", 1): ([10], [0.4])})
    curve = over_effort(learning_curves(dice), efforts, "slices")["a"]
    assert list(curve.effort) == [3, 6]
    np.testing.assert_allclose(curve.dice.mean, [0.4, 0.3])
