"""Learning curves of experiments: one for each arm, with its band, and Dice of seed and test case at equal effort."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from activelabel.analysis.bands import Band, bootstrap_band
from activelabel.analysis.curves import EQUAL_EFFORT, aubc, last_within
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
        """Effort and mean Dice of the rounds with an effort above 0, the only ones that a power law describes."""
        paid = self.effort > 0
        return self.effort[paid], self.dice.mean[paid]


@dataclass(frozen=True)
class EqualEffort:
    """Pairs of seed and test case that every arm has, at budgets within the range of every run.

    Attributes:
        budgets: efforts, from least to most: those of the models of the run with the fewest, within the range that all
            runs cover.
        aubc: area under the curve of each pair through its values at the budgets; one row for each (seed, case), one
            column for each arm.
        steps: for every budget after the first, a table like `aubc` with the Dice of each pair.
    """

    budgets: tuple[float, ...]
    aubc: pd.DataFrame
    steps: tuple[pd.DataFrame, ...]

    @property
    def low(self) -> float:
        """The smallest budget."""
        return self.budgets[0]

    @property
    def high(self) -> float:
        """The largest budget."""
        return self.budgets[-1]

    @property
    def final(self) -> pd.DataFrame:
        """Dice of each pair at the largest budget."""
        return self.steps[-1]


def over_cases(pairs: pd.DataFrame) -> pd.DataFrame:
    """The mean over the test cases of each seed; one row for each seed, as tests need it."""
    return pairs.groupby(level="seed").mean()


def learning_curves(dice: pd.DataFrame) -> dict[str, LearningCurve]:
    """The curve of each arm by the number of the round; `over_effort` turns it into a curve by effort.

    Args:
        dice: `arm`, `seed`, `round`, `case` and `dice`, from `results.mean_dice` or from the metrics of one structure.
    """
    return {str(arm): _learning_curve(of_arm) for arm, of_arm in dice.groupby("arm", sort=False)}


def _learning_curve(dice: pd.DataFrame) -> LearningCurve:
    rounds, seeds, cases = (sorted(dice[column].unique()) for column in ("round", "seed", "case"))
    index = pd.MultiIndex.from_product([seeds, cases, rounds])
    cube = dice.set_index(["seed", "case", "round"])["dice"].reindex(index).to_numpy(dtype=np.float64)
    band = bootstrap_band(cube.reshape(len(seeds), len(cases), len(rounds)))
    return LearningCurve(np.array(rounds, dtype=np.float64), band)


def over_effort(curves: Mapping[str, LearningCurve], efforts: pd.DataFrame, effort: str) -> dict[str, LearningCurve]:
    """The curves by effort: the effort of a round is the mean over the seeds with that round, and sorts the rounds.

    Args:
        curves: from `learning_curves`.
        efforts: from `results.effort_table`.
        effort: one of `results.EFFORTS`.
    """
    means = efforts.groupby(["arm", "round"])[effort].mean()
    return {arm: _over(curve, means[arm].loc[curve.effort].to_numpy(np.float64)) for arm, curve in curves.items()}


def _over(curve: LearningCurve, effort: Vector) -> LearningCurve:
    # A seed that has cost more than others may have stopped before them: the mean then falls.
    order = np.argsort(effort, kind="stable")
    dice = replace(curve.dice, **{name: getattr(curve.dice, name)[order] for name in ("mean", "low", "high")})
    return LearningCurve(effort[order], dice)


def at_equal_effort(efforts: pd.DataFrame, dice: pd.DataFrame, effort: str) -> EqualEffort | None:
    """Compare all runs with two models or more, at budgets of `effort` within the range of all of them.

    At a budget, a run has the value of its last model within that budget (`analysis.curves.last_within`): no value is
    read off a line between two models. Of rounds at the same effort, the last one counts. The tables hold only pairs
    that every arm has. The arguments are as above. None if the runs share no range or no pair.
    """
    runs = {run: curve for run, curve in _run_curves(efforts, dice, effort).items() if len(curve) > 1}
    low, high = _shared_range(list(runs.values()))
    if low >= high:
        return None
    budgets = _budgets(list(runs.values()), low, high)
    known = _by_pair({run: _values_at(curve, budgets) for run, curve in runs.items()}).dropna()
    if known.empty:
        return None
    arms = known.columns.unique("arm")
    values = known.to_numpy(np.float64).reshape(len(known), len(arms), len(budgets))
    areas = np.apply_along_axis(lambda of_pair: aubc(budgets, of_pair), 2, values)
    steps = [pd.DataFrame(at, known.index, arms) for at in np.moveaxis(values, 2, 0)]
    return EqualEffort(budgets, pd.DataFrame(areas, known.index, arms), tuple(steps[1:]))


def models_within(metrics: pd.DataFrame, efforts: pd.DataFrame, effort: str, budget: float) -> pd.DataFrame:
    """The metrics of each run's last model within a budget of an effort."""
    paid = efforts[efforts[effort] <= budget * (1 + EQUAL_EFFORT)]
    return metrics.merge(paid.groupby(RUN)["round"].max().reset_index())


def _budgets(curves: Sequence[pd.DataFrame], low: float, high: float) -> tuple[float, ...]:
    """The ends of the range, and between them the efforts of the run with the fewest models there."""
    between = [[float(effort) for effort in curve.index if low < effort < high] for curve in curves]
    return (low, *min(between, key=len), high)


def _shared_range(curves: Sequence[pd.DataFrame]) -> tuple[float, float]:
    first, last = ([float(curve.index[end]) for curve in curves] for end in (0, -1))
    return max(first, default=0.0), min(last, default=0.0)


def _run_curves(efforts: pd.DataFrame, dice: pd.DataFrame, effort: str) -> dict[_RunKey, pd.DataFrame]:
    """By arm and seed, a table of Dice: one row for each effort, from least to most, one column for each test case."""
    joined = dice.merge(efforts[[*RUN, "round", effort]], on=[*RUN, "round"]).sort_values("round", kind="stable")
    final = joined.drop_duplicates([*RUN, "case", effort], keep="last")
    return {
        run: of_run.pivot(index=effort, columns="case", values="dice") for run, of_run in final.groupby(RUN, sort=False)
    }


def _values_at(curve: pd.DataFrame, budgets: Sequence[float]) -> pd.DataFrame:
    """Dice of each case, a row each, at each budget; NaN for a case that one of the models was not tested with."""
    dice, efforts = curve.to_numpy(np.float64), curve.index.to_numpy(np.float64)
    whole = np.where(np.isnan(dice).any(axis=0), np.nan, dice)
    return pd.DataFrame(whole[[last_within(efforts, budget) for budget in budgets]].T, curve.columns, list(budgets))


def _by_pair(values: Mapping[_RunKey, pd.DataFrame]) -> pd.DataFrame:
    """One row for each (seed, case), one column for each arm and budget; NaN if the arm has not run that seed."""
    arms = dict.fromkeys(arm for arm, _ in values)
    columns = {arm: pd.concat({seed: of_run for (name, seed), of_run in values.items() if name == arm}) for arm in arms}
    return pd.concat(columns, axis=1, names=["arm", "budget"]).rename_axis(["seed", "case"])
