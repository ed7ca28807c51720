"""Learning curves of experiments: of an arm with its band, and of pairs of seed and test case at equal effort."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from activelabel.analysis.bands import Band, bootstrap_band
from activelabel.analysis.curves import aubc, value_at
from activelabel.simulation.results import RUN

Vector = NDArray[np.float64]
_RunKey = tuple[Hashable, ...]  # Arm and seed.


@dataclass(frozen=True)
class LearningCurve:
    """Dice of an arm by round, over seeds and cases, and the `effort` of each round: the mean over the seeds."""

    effort: Vector
    dice: Band

    @property
    def paid_for(self) -> tuple[Vector, Vector]:
        """Effort and mean Dice of the rounds that have cost something: a power law says nothing of the others."""
        paid = self.effort > 0
        return self.effort[paid], self.dice.mean[paid]


@dataclass(frozen=True)
class EqualEffort:
    """Pairs of seed and test case that every arm has, over the range of an effort that all runs cover.

    Attributes:
        low: where the range begins.
        high: where it ends.
        aubc: area under the learning curve of each pair between both, divided by the range: rows (seed, case), a
            column an arm.
        steps: Dice of each pair at equal steps up to `high`, as many as the shortest run has rounds after its first;
            each a table like that of `aubc`.
    """

    low: float
    high: float
    aubc: pd.DataFrame
    steps: tuple[pd.DataFrame, ...]

    @property
    def final(self) -> pd.DataFrame:
        """Dice of each pair where the range ends."""
        return self.steps[-1]


def learning_curves(dice: pd.DataFrame) -> dict[str, LearningCurve]:
    """The curve of each arm, by the number of the round for now: see `over_effort`.

    Args:
        dice: `arm`, `seed`, `round`, `case` and `dice`, as of `results.mean_dice`, or of the metrics of one structure.
    """
    return {str(arm): _learning_curve(of_arm) for arm, of_arm in dice.groupby("arm", sort=False)}


def _learning_curve(dice: pd.DataFrame) -> LearningCurve:
    rounds, seeds, cases = (sorted(dice[column].unique()) for column in ("round", "seed", "case"))
    index = pd.MultiIndex.from_product([seeds, cases, rounds])
    cube = dice.set_index(["seed", "case", "round"])["dice"].reindex(index).to_numpy(dtype=np.float64)
    band = bootstrap_band(cube.reshape(len(seeds), len(cases), len(rounds)))
    return LearningCurve(np.array(rounds, dtype=np.float64), band)


def over_effort(curves: Mapping[str, LearningCurve], efforts: pd.DataFrame, effort: str) -> dict[str, LearningCurve]:
    """The curves by effort: that of a round is the mean over the seeds that had it, and rounds are in its order.

    Args:
        curves: of `learning_curves`.
        efforts: as of `results.effort_table`.
        effort: which of `results.EFFORTS` is meant.
    """
    means = efforts.groupby(["arm", "round"])[effort].mean()
    return {arm: _over(curve, means[arm].loc[curve.effort].to_numpy(np.float64)) for arm, curve in curves.items()}


def _over(curve: LearningCurve, effort: Vector) -> LearningCurve:
    # A seed that has cost more than others may have stopped before them: the mean then falls.
    order = np.argsort(effort, kind="stable")
    dice = replace(curve.dice, **{name: getattr(curve.dice, name)[order] for name in ("mean", "low", "high")})
    return LearningCurve(effort[order], dice)


def at_equal_effort(efforts: pd.DataFrame, dice: pd.DataFrame, effort: str) -> EqualEffort | None:
    """Compare all runs that have two points or more, over the range of `effort` that they share.

    Between two rounds the curve of a pair is a straight line; of rounds at the same effort the last one counts. Only
    pairs that every arm has are in the tables. The arguments are as above. None where no range or no pair is shared.
    """
    runs = {run: curve for run, curve in _run_curves(efforts, dice, effort).items() if len(curve) > 1}
    low, high = _shared_range(list(runs.values()))
    if low >= high:
        return None
    aubc_of_pairs = _by_pair({run: curve.apply(_aubc, low=low, high=high) for run, curve in runs.items()}).dropna()
    ends = np.linspace(low, high, min(map(len, runs.values())))[1:]
    steps = (_by_pair({run: curve.apply(_value_at, at=at) for run, curve in runs.items()}) for at in ends)
    if aubc_of_pairs.empty:
        return None
    return EqualEffort(low, high, aubc_of_pairs, tuple(step.loc[aubc_of_pairs.index] for step in steps))


def _shared_range(curves: Sequence[pd.DataFrame]) -> tuple[float, float]:
    first, last = ([float(curve.index[end]) for curve in curves] for end in (0, -1))
    return max(first, default=0.0), min(last, default=0.0)


def _run_curves(efforts: pd.DataFrame, dice: pd.DataFrame, effort: str) -> dict[_RunKey, pd.DataFrame]:
    """By arm and seed: Dice, a row an effort from least to most, a column a test case."""
    joined = dice.merge(efforts[[*RUN, "round", effort]], on=[*RUN, "round"]).sort_values("round", kind="stable")
    last = joined.drop_duplicates([*RUN, "case", effort], keep="last")
    return {
        run: of_run.pivot(index=effort, columns="case", values="dice") for run, of_run in last.groupby(RUN, sort=False)
    }


def _aubc(values: "pd.Series[float]", low: float, high: float) -> float:
    return float("nan") if values.isna().any() else aubc(*_points(values), low, high)


def _value_at(values: "pd.Series[float]", at: float) -> float:
    return float("nan") if values.isna().any() else value_at(*_points(values), at)


def _points(values: "pd.Series[float]") -> tuple[Vector, Vector]:
    return values.index.to_numpy(dtype=np.float64), values.to_numpy(dtype=np.float64)


def _by_pair(values: Mapping[_RunKey, "pd.Series[float]"]) -> pd.DataFrame:
    """Rows (seed, case), a column an arm; NaN where an arm has not run that seed."""
    arms = dict.fromkeys(arm for arm, _ in values)
    columns = {
        arm: pd.concat({seed: of_run for (of, seed), of_run in values.items() if of == arm}, names=["seed"])
        for arm in arms
    }
    return pd.DataFrame(columns).rename_axis(["seed", "case"])
