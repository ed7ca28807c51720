"""Comparison of arms: tests over seeds, corrected for their number, and how often one arm beats another.

Larger values are better; give distances and volume errors with a minus. The repeats of an experiment are its seeds,
each with its own start set, first weights and draws. The test cases of a seed share its models and are no repeats: a
test that counts each (seed, case) as a repeat finds differences between equal arms, and more of them with more cases.
Average the cases of each seed first; the result then holds for other seeds on these test cases.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit  # `scipy.stats` takes half a second to import

FEWEST_SEEDS = 3
"""With fewer seeds there is no test: two differences say next to nothing about a third one."""
_ROUNDING = 1e-12  # Smaller differences are rounding between equal arms.


@dataclass(frozen=True)
class SeedTest:
    """Student's paired t test of the differences a − b, one difference for each seed.

    `low` and `high` are the 95 % interval of the mean difference, `p` is two-sided, both with `seeds` − 1 degrees of
    freedom; all three are NaN where there are fewer than `FEWEST_SEEDS`, or where a and b differ by the same in each
    seed.
    """

    seeds: int
    seeds_better: int
    mean_difference: float
    low: float
    high: float
    p: float

    @property
    def told(self) -> bool:
        """Whether there are enough seeds for a test, and a spread to test by."""
        return not math.isnan(self.p)

    @property
    def why_untold(self) -> str:
        """Why there is no test, in a few words; empty if there is one."""
        if self.told:
            return ""
        return "too few seeds" if self.seeds < FEWEST_SEEDS else "the same in each seed"

    @property
    def first_is_better(self) -> bool:
        """Whether the mean difference favours a, however weakly."""
        return self.mean_difference > 0


@dataclass(frozen=True)
class Comparison(SeedTest):
    """A test of `arm` (a) against another (b), `p_holm` its p after Holm's correction for all tests of the list."""

    arm: str
    against: str
    p_holm: float


def seed_test(a: ArrayLike, b: ArrayLike) -> SeedTest:
    """Test two vectors of one length; each value is a seed's mean over its test cases.

    Seeds with a NaN are left out. Where all differences are 0, p is 1. Where all are equal but not 0, there is no test:
    t would be infinite and p 0, and seeds that give one and the same number are hardly repeats of their own.

    Raises:
        ValueError: the vectors differ in length, a value is infinite, or no seed is left.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"expected two vectors of one length, got {first.shape} and {second.shape}")
    known = ~(np.isnan(first) | np.isnan(second))
    differences = first[known] - second[known]
    if not len(differences) or not np.isfinite(differences).all():
        raise ValueError(f"expected finite numbers of one seed or more, got {first} and {second}")
    differences[abs(differences) < _ROUNDING] = 0
    seeds, mean = len(differences), float(differences.mean())
    low, high, p = _interval_and_p(differences) if seeds >= FEWEST_SEEDS else (math.nan, math.nan, math.nan)
    return SeedTest(seeds, int((differences > 0).sum()), mean, low, high, p)


def mean_and_interval(values: ArrayLike) -> tuple[float, float, float, float]:
    """Mean of one value for each seed, its 95 % t interval, and the p of a mean of 0; NaN for the last three if there
    is no test.

    Raises:
        ValueError: as `seed_test`.
    """
    test = seed_test(values, np.zeros(np.shape(values)))
    return test.mean_difference, test.low, test.high, test.p


def _interval_and_p(differences: NDArray[np.float64]) -> tuple[float, float, float]:
    mean, freedom = float(differences.mean()), len(differences) - 1
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    if error < _ROUNDING:
        return (mean, mean, 1.0) if mean == 0 else (math.nan, math.nan, math.nan)
    half = float(stdtrit(freedom, 0.975)) * error
    return mean - half, mean + half, float(2 * stdtr(freedom, -abs(mean) / error))


def compare(values: pd.DataFrame, against: str | None = None) -> list[Comparison]:
    """Test all pairs of arms, or each against one, and correct the p-values for their number (Holm 1979).

    Args:
        values: one column for each arm, one row for each seed; NaN where an arm has no value.
        against: the arm that all others are compared with; None compares all pairs.

    Returns:
        The comparisons, in the order of the columns.

    Raises:
        ValueError: there are fewer than two arms, `against` is none of them, or as `seed_test`.
    """
    arms = [str(arm) for arm in values.columns]
    if len(set(arms)) < max(2, len(arms)) or (against is not None and against not in arms):
        raise ValueError(f"expected two arms or more, each once, and {against or 'any'} among them, got {arms}")
    pairs = list(combinations(arms, 2)) if against is None else [(arm, against) for arm in arms if arm != against]
    tests = [seed_test(values[arm], values[other]) for arm, other in pairs]
    return [
        Comparison(**asdict(test), arm=arm, against=other, p_holm=p_holm)
        for (arm, other), test, p_holm in zip(pairs, tests, holm([test.p for test in tests]), strict=True)
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values after Holm's correction for the number of tests; a NaN, which is no test, stays NaN.

    The smallest of k is multiplied by k, the next by k − 1 and so on, never below the one before, at most 1.
    """
    p = np.asarray(p_values, dtype=np.float64)
    told = np.flatnonzero(~np.isnan(p))
    order = told[np.argsort(p[told], kind="stable")]
    corrected = p.copy()
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1)
    return corrected.tolist()


def penalty_matrix(values_per_step: Sequence[pd.DataFrame], alpha: float = 0.05) -> pd.DataFrame:
    """The share of steps at which the row's arm beats the column's: BADGE's pairwise penalty matrix (Ash et al. 2020).

    The mean of a column is how often its arm is beaten: the lower, the better. One beats the other at a step where
    Student's two-sided test over seeds has p < alpha, uncorrected, as in BADGE and nnActive. Leave out steps at which
    every arm has learnt all there is to learn: they do not tell arms apart.

    Args:
        values_per_step: for each step, values as for `compare`, with the same arms.
        alpha: the level of each test.

    Returns:
        Arms by arms, each in [0, 1], 0 on the diagonal.

    Raises:
        ValueError: there is no step, the arms differ between steps, or as `seed_test`.
    """
    columns = [list(step.columns) for step in values_per_step]
    if not columns or any(arms != columns[0] for arms in columns):
        raise ValueError(f"expected one step or more with the same arms, got {columns}")
    wins = np.zeros((len(columns[0]), len(columns[0])))
    for step in values_per_step:
        for first, second in combinations(range(len(wins)), 2):
            test = seed_test(step.iloc[:, first], step.iloc[:, second])
            if test.p < alpha:
                wins[(first, second) if test.first_is_better else (second, first)] += 1
    return pd.DataFrame(wins / len(columns), index=columns[0], columns=columns[0])
