"""How `benchmarks/training/continual.py` decides whether continued trainings come to the Dice of those from scratch."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from benchmarks.training.compared import SCRATCH, Compared, compared

ARM = "replay"
FROM_SCRATCH = [(0.80, 0.84), (0.82, 0.84), (0.84, 0.84)]
"""Dice of rounds 2 and 3, a pair for each seed."""


def rows_of(dice: Sequence[tuple[float, float]], of: str, cpu_s: float) -> list[Mapping[str, Any]]:
    """Rows as the benchmark writes them."""
    return [
        {"arm": of, "seed": seed, "round": number, "dice": value, "cpu_s": cpu_s}
        for seed, values in enumerate(dice)
        for number, value in enumerate(values, start=2)
    ]


def comparison(ours: Sequence[tuple[float, float]]) -> Compared:
    first = [{"arm": SCRATCH, "seed": 0, "round": 1, "dice": 0.1, "cpu_s": 9000.0}]  # the same in all arms: not counted
    found = compared([*first, *rows_of(FROM_SCRATCH, SCRATCH, 40.0), *rows_of(ours, ARM, 4.0)], ARM, rounds=3)
    assert isinstance(found, Compared)
    return found


def test_each_seed_counts_once_and_the_margin_is_the_spread_of_a_model_from_scratch() -> None:
    # Means of the rounds: scratch 0.82, 0.83, 0.84; ours 0.81, 0.81, 0.81. Differences -0.01, -0.02, -0.03: mean -0.02,
    # standard deviation 0.01, error 0.01 / sqrt(3) = 0.0057735, t(2) = 4.302653: half of the interval 0.0248414.
    found = comparison([(0.80, 0.82), (0.81, 0.81), (0.82, 0.80)])
    assert found.test.mean_difference == pytest.approx(-0.02)
    assert (found.test.low, found.test.high) == pytest.approx((-0.0448414, 0.0048414), abs=1e-6)
    assert (found.test.seeds, found.test.seeds_better) == (3, 0)
    # Between seeds round 2 has the variance 0.0004, round 3 has 0: sqrt(0.0002).
    assert found.margin == pytest.approx(0.0141421, abs=1e-6)
    assert found.cost == pytest.approx(0.1)
    assert found.verdict == "neither ahead nor behind; whether within the spread of seeds is open"
    assert str(found).startswith(
        "Dice -0.0200 beside from scratch (95 % t interval -0.0448 to +0.0048, n = 3 seeds, ahead in 0)"
    )
    assert str(found).endswith("0.10 of the processor seconds")


@pytest.mark.parametrize(
    ("shift", "jitter", "verdict"),
    [
        (-0.005, 0.0005, "behind, and within the spread of seeds"),  # -0.005 ± 0.0012
        (0.005, 0.0005, "ahead, and within the spread of seeds"),
        (0.0, 0.0005, "neither ahead nor behind, and within the spread of seeds"),
        (-0.03, 0.0005, "behind, by more than the spread of seeds"),
        (0.03, 0.0005, "ahead, by more than the spread of seeds"),
        (-0.014, 0.0005, "behind; whether within the spread of seeds is open"),
        (-0.02, 0.0, "not tested (the same in each seed)"),
    ],
)
def test_the_interval_decides_against_nothing_and_against_the_spread_of_seeds(
    shift: float, jitter: float, verdict: str
) -> None:
    shifts = (shift - jitter, shift, shift + jitter)
    ours = [(a + by, b + by) for (a, b), by in zip(FROM_SCRATCH, shifts, strict=True)]
    assert comparison(ours).verdict == verdict


def test_a_seed_without_all_rounds_is_left_out() -> None:
    rows = [*rows_of(FROM_SCRATCH, SCRATCH, 40.0), *rows_of([(0.8, 0.8)] * 3, ARM, 4.0)]
    two = compared(rows[:-1], ARM, rounds=3)
    assert isinstance(two, Compared)
    assert (two.test.seeds, two.verdict) == (2, "not tested (too few seeds)")
    assert compared(rows[:-3], ARM, rounds=3) == "1 seeds have all rounds, expected 2 or more"
