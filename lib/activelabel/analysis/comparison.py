"""Which arm is better: paired tests with their n, corrected for how many there are, and how often one beats another.

Larger values are better; give distances and volume errors with a minus. A pair is what two arms have in common, such as
a seed and a test case. The tests take pairs for independent. The cases of one seed share its models, so a p over (seed,
case) speaks of these models; for one that speaks of seeds, average each seed's cases first.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import rankdata, wilcoxon
from statsmodels.stats.multitest import multipletests


@dataclass(frozen=True)
class PairedTest:
    """A Wilcoxon signed rank test of the differences a − b.

    `n` pairs were compared, `n_nonzero` of them differ and make the test. `statistic` is the sum of the ranks of the
    positive differences, n_nonzero (n_nonzero + 1) / 4 where neither is better. `p` is two-sided; with k pairs that
    differ it is 2 / 2^k at least, so that fewer than six never are significant at 0.05.
    """

    n: int
    n_nonzero: int
    median_difference: float
    mean_difference: float
    statistic: float
    p: float

    @property
    def first_is_better(self) -> bool:
        """Whether the ranks speak for a, however weakly."""
        return self.statistic > self.n_nonzero * (self.n_nonzero + 1) / 4


@dataclass(frozen=True)
class Comparison(PairedTest):
    """A paired test of `arm` (a) against another (b), `p_holm` its p after Holm's correction for all in the list."""

    arm: str
    against: str
    p_holm: float


def paired_test(a: ArrayLike, b: ArrayLike) -> PairedTest:
    """Wilcoxon's signed rank test of two vectors of one length, pair by pair.

    Pairs with a NaN are left out, equal ones count in n alone (Wilcoxon's own rule); equal infinities are equal. p is
    exact for up to 50 differences without ties and 13 with, beyond that by the normal approximation corrected for ties
    (scipy's choice). It is 1 if all differences are 0.

    Raises:
        ValueError: the vectors differ in length, or no pair is left.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"expected two vectors of one length, got {first.shape} and {second.shape}")
    known = ~(np.isnan(first) | np.isnan(second))
    if not known.any():
        raise ValueError(f"expected a pair of numbers, got {len(first)} pairs with a NaN in each")
    first, second = first[known], second[known]
    differences = np.subtract(first, second, out=np.zeros_like(first), where=first != second)  # Not inf - inf.
    nonzero = differences[differences != 0]
    return PairedTest(
        n=len(differences),
        n_nonzero=len(nonzero),
        median_difference=float(np.median(differences)),
        mean_difference=float(differences.mean()),
        statistic=float(rankdata(abs(nonzero))[nonzero > 0].sum()),
        p=float(wilcoxon(nonzero).pvalue) if len(nonzero) else 1.0,
    )


def compare(values: pd.DataFrame, against: str | None = None) -> list[Comparison]:
    """Test all pairs of arms, or each against one, and correct the p-values for their number (Holm).

    Args:
        values: a column an arm, a row a pair, NaN where an arm has no value.
        against: the arm that all others are compared with.

    Returns:
        In the order of the columns.

    Raises:
        ValueError: there are not two arms, `against` is none of them, or as `paired_test`.
    """
    arms = [str(arm) for arm in values.columns]
    if len(set(arms)) < max(2, len(arms)) or (against is not None and against not in arms):
        raise ValueError(f"expected two arms or more, each once, and {against or 'any'} among them, got {arms}")
    pairs = list(combinations(arms, 2)) if against is None else [(arm, against) for arm in arms if arm != against]
    tests = [paired_test(values[arm], values[other]) for arm, other in pairs]
    corrected = multipletests([test.p for test in tests], method="holm")[1]
    return [
        Comparison(**asdict(test), arm=arm, against=other, p_holm=float(p_holm))
        for (arm, other), test, p_holm in zip(pairs, tests, corrected, strict=True)
    ]


def penalty_matrix(values_per_step: Sequence[pd.DataFrame], alpha: float = 0.05) -> pd.DataFrame:
    """The share of steps at which the row's arm beats the column's: BADGE's pairwise penalty matrix (Ash et al. 2020).

    The mean of a column is how often its arm is beaten: the lower, the better. One beats the other at a step where a
    two-sided paired test has p < alpha, uncorrected as in BADGE and nnActive; theirs is Student's over repeats, here it
    is Wilcoxon's over pairs. Steps at which every arm has learnt what there is to learn say nothing: leave them out.

    Args:
        values_per_step: as `compare` for each step, with the same arms.
        alpha: the level of each test.

    Returns:
        Arms by arms, each in [0, 1], 0 on the diagonal.

    Raises:
        ValueError: there is no step, the arms differ between steps, or as `paired_test`.
    """
    columns = [list(step.columns) for step in values_per_step]
    if not columns or any(arms != columns[0] for arms in columns):
        raise ValueError(f"expected one step or more with the same arms, got {columns}")
    wins = np.zeros((len(columns[0]), len(columns[0])))
    for step in values_per_step:
        for first, second in combinations(range(len(wins)), 2):
            test = paired_test(step.iloc[:, first], step.iloc[:, second])
            if test.p < alpha:
                wins[(first, second) if test.first_is_better else (second, first)] += 1
    return pd.DataFrame(wins / len(columns), index=columns[0], columns=columns[0])
