"""The findings of an experiment: all numbers that a report draws and states."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from activelabel.analysis.comparison import Comparison, compare
from activelabel.analysis.curves import effort_to_reach, foreground_efficiency
from activelabel.analysis.forecast import Forecast, fit_power_law, forecast
from activelabel.errors import InvalidInputError
from activelabel.report.curves import (
    EqualEffort,
    LearningCurve,
    at_equal_effort,
    learning_curves,
    over_cases,
    over_effort,
)
from activelabel.simulation.folder_names import FULL_DATA
from activelabel.simulation.results import ROUND, RUN, Results, effort_table, mean_dice

ENOUGH = 0.95
"""The share of the Dice of all labels that counts as enough."""
SIGNIFICANT = 0.05
_LARGEST_PLATEAU = 0.995  # A fitted curve with a plateau above this has not begun to level off.
UNITS: Mapping[str, str] = {
    "volumes": "volumes",
    "slices": "slices",
    "foreground_voxels": "foreground voxels",
    "boundary_mm": "mm of contour",
}
"""The efforts that learning curves are drawn over, each with its unit."""


@dataclass(frozen=True)
class FullDice:
    """The Dice that all labels would bring, and the source of that number."""

    value: float
    source: str


@dataclass(frozen=True)
class UnderEffort:
    """The findings when labels are counted by one effort.

    `equal` is None if the finished arms share no range of the effort. `tests` compare the AUBC of each pair of arms
    over seeds, with the better arm first; `final_tests` compare the Dice at the end of the range. `forecasts` estimate
    the gain of one more round, as large as an arm's last one.
    """

    effort: str
    curves: Mapping[str, LearningCurve]
    by_label: Mapping[str, Mapping[str, LearningCurve]]
    equal: EqualEffort | None
    ranking: pd.DataFrame
    tests: Sequence[Comparison]
    final_tests: Sequence[Comparison]
    forecasts: Mapping[str, Forecast]


@dataclass(frozen=True)
class Findings:
    """All findings about the `arms` that are compared.

    `efforts` and `dice` are the tables of `results.effort_table` and `results.mean_dice`, of rounds that have a model.
    The summary counts labels by the effort `main`.
    """

    results: Results
    arms: tuple[str, ...]
    efforts: pd.DataFrame
    dice: pd.DataFrame
    main: str
    under: Mapping[str, UnderEffort]
    full: FullDice | None

    @property
    def best(self) -> str:
        """The arm with the largest AUBC, or with the largest Dice if no arms are comparable."""
        ranking = self.under[self.main].ranking
        if not ranking.empty:
            return str(ranking.index[0])
        curves = self.under[self.main].curves
        return max(curves, key=lambda arm: curves[arm].dice.mean[-1])


def find(results: Results) -> Findings:
    """Compare the arms of experiments, under each effort.

    Raises:
        InvalidInputError: there is no arm but the one of all labels.
    """
    full_arms = tuple(arm for arm in results.arms if arm.split(" (")[0] == FULL_DATA)
    arms = tuple(arm for arm in results.arms if arm not in full_arms)
    if not arms:
        raise InvalidInputError(f"expected strategies to compare, got runs of {FULL_DATA} alone: simulate others too")
    metrics = results.metrics[results.metrics["arm"].isin(arms)]
    efforts = effort_table(results.queries).merge(metrics[ROUND].drop_duplicates())  # Only rounds with a model count.
    dice = mean_dice(metrics)
    curves = learning_curves(dice)
    by_label = {str(name): learning_curves(of_label) for name, of_label in metrics.groupby("label", sort=False)}
    finished = ~dice["arm"].isin(results.unfinished)  # An unfinished arm is not compared with a finished one.
    under = {effort: _under(efforts, dice, finished, curves, by_label, effort) for effort in UNITS}
    asked = results.queries[results.queries["role"] == "training"]
    main = "slices" if (asked["kind"] == "slices").any() else "volumes"
    findings = Findings(results, arms, efforts, dice, main, under, None)
    return replace(findings, full=_full_dice(full_arms, findings))


def efforts_to_reach(findings: Findings, effort: str) -> pd.DataFrame:
    """The effort at which each arm has `ENOUGH` of the Dice of all labels; none where there is no such Dice.

    Returns:
        One row for each arm: `arm`; `effort`, that of its mean curve; `least` and `most`, over its seeds; `reached`,
            the number of its `seeds` that reach it. NaN where it is not reached.
    """
    if findings.full is None:
        return pd.DataFrame()
    wanted = ENOUGH * findings.full.value
    means = findings.dice.groupby(ROUND)["dice"].mean().reset_index().merge(findings.efforts).sort_values("round")
    rows = []
    for arm, curve in findings.under[effort].curves.items():
        runs = means[means["arm"] == arm].groupby("seed")
        seeds = [_reach(run[effort], run["dice"], wanted) for _, run in runs]
        known = [value for value in seeds if not np.isnan(value)]
        rows.append(
            {"arm": arm, "effort": _reach(curve.effort, curve.dice.mean, wanted), "least": min(known, default=np.nan),
             "most": max(known, default=np.nan), "reached": len(known), "seeds": len(seeds)}
        )  # fmt: skip
    return pd.DataFrame(rows)


def foreground_efficiencies(findings: Findings) -> pd.DataFrame:
    """How fast each thousand foreground voxels closes the gap to the Dice of all labels, along the arm's mean curve.

    Returns:
        One row for each arm: `arm`, `foreground efficiency`, NaN where there is no gap, and `n (seeds)`.
    """
    rows = []
    for arm, curve in findings.under["foreground_voxels"].curves.items():
        spent, full = curve.effort / 1000, findings.full
        gap = full is not None and full.value > curve.dice.mean[0] and spent[-1] > spent[0]
        rate = foreground_efficiency(spent, curve.dice.mean, full.value) if full is not None and gap else np.nan
        rows.append({"arm": arm, "foreground efficiency": rate, "n (seeds)": curve.dice.seeds})
    return pd.DataFrame(rows)


def _under(
    efforts: pd.DataFrame,
    dice: pd.DataFrame,
    finished: "pd.Series[bool]",
    curves: Mapping[str, LearningCurve],
    by_label: Mapping[str, Mapping[str, LearningCurve]],
    effort: str,
) -> UnderEffort:
    equal = at_equal_effort(efforts, dice[finished], effort)
    ranking = _ranking(equal)
    several = equal is not None and len(ranking) > 1
    over = over_effort(curves, efforts, effort)
    return UnderEffort(
        effort=effort,
        curves=over,
        by_label={label: over_effort(of_label, efforts, effort) for label, of_label in by_label.items()},
        equal=equal,
        ranking=ranking,
        tests=compare(over_cases(equal.aubc[ranking.index])) if equal is not None and several else (),
        final_tests=compare(over_cases(equal.final[ranking.index])) if equal is not None and several else (),
        forecasts={arm: ahead for arm, curve in over.items() if (ahead := _forecast(curve, UNITS[effort])) is not None},
    )


def _ranking(equal: EqualEffort | None) -> pd.DataFrame:
    """Arms from best to worst by mean AUBC: `aubc`, `final`, and the numbers of `seeds` and `cases`."""
    if equal is None:
        return pd.DataFrame()
    aubc, final = over_cases(equal.aubc), over_cases(equal.final)
    cases = equal.aubc.index.get_level_values("case").nunique()
    ranking = pd.DataFrame({"aubc": aubc.mean(), "final": final.mean(), "seeds": len(aubc), "cases": cases})
    return ranking.sort_values("aubc", ascending=False, kind="stable")


def _forecast(curve: LearningCurve, unit: str) -> Forecast | None:
    """The gain of one more round, as large as the last one; None if no round has an effort above 0."""
    effort, dice = curve.paid_for
    steps = np.diff(effort, prepend=0.0)
    return forecast(effort, dice, float(steps[steps > 0][-1]), unit=unit) if len(effort) else None


def _full_dice(full_arms: Collection[str], findings: Findings) -> FullDice | None:
    metrics = findings.results.metrics
    full = metrics[metrics["arm"].isin(full_arms)]
    if not full.empty:
        final_round = full[full["round"] == full.groupby(RUN)["round"].transform("max")]
        return FullDice(float(mean_dice(final_round)["dice"].mean()), f"measured by the runs of `{FULL_DATA}`")
    under = findings.under[findings.main]
    ahead = under.forecasts.get(findings.best)
    if ahead is None or ahead.expected is None:
        return None
    law = fit_power_law(*under.curves[findings.best].paid_for)
    if law.plateau > _LARGEST_PLATEAU:
        return None
    return FullDice(law.plateau, f"estimated: where the fitted curve of `{findings.best}` levels off")


def _reach(effort: ArrayLike, dice: ArrayLike, wanted: float) -> float:
    """The effort at which `wanted` is reached; NaN if it is not, or if there is only one point."""
    found = effort_to_reach(effort, dice, wanted) if np.size(effort) > 1 else None
    return np.nan if found is None else found
