"""The section about one effort: learning curves, the ranking at equal effort, how much is enough, and the forecast."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from activelabel.analysis.comparison import FEWEST_SEEDS, Comparison, penalty_matrix
from activelabel.report.curves import EqualEffort, LearningCurve, over_cases
from activelabel.report.figures import draw_curves, draw_forecast, draw_penalties
from activelabel.report.findings import (
    ENOUGH,
    SIGNIFICANT,
    UNITS,
    Findings,
    UnderEffort,
    efforts_to_reach,
    foreground_efficiencies,
)
from activelabel.report.page import Block, Picture, Table, Text
from activelabel.simulation.results import EFFORTS

_OVER_SEEDS = (
    "Student's paired t test over seeds, each the mean of its test cases: cases of a seed share its models, so they "
    "are no repeats. It speaks of other seeds, on these test cases."
)


def blocks_under(findings: Findings, effort: str) -> Iterator[Block]:
    """All figures and tables of one effort; the names of their files end in its name."""
    under = findings.under[effort]
    yield _curves(findings, under)
    if under.equal is None:
        yield Text(
            f"The finished strategies share no range of {EFFORTS[effort]} and no pair of seed and test case, so that "
            "nothing can be compared at equal effort."
        )
    else:
        yield _ranking(findings, under, under.equal)
        if under.tests:
            yield _tests(f"tests_aubc_{effort}", "Is one better all along? AUBC, two by two", under.tests)
            yield _tests(f"tests_final_{effort}", "Is one better in the end? Final Dice, two by two", under.final_tests)
            if all(test.seeds >= FEWEST_SEEDS for test in under.tests):
                yield _penalties(effort, [over_cases(step[under.ranking.index]) for step in under.equal.steps])
    if findings.full is not None:
        yield _enough(findings, findings.full.value, effort)
    yield from _ahead(findings, under)
    if len(under.by_label) > 1:
        yield _structures(findings, under)


def _curves(findings: Findings, under: UnderEffort) -> Picture:
    full = None if findings.full is None else findings.full.value
    title, bands = EFFORTS[under.effort], [curve.dice for curve in under.curves.values()]
    dotted = "" if findings.full is None else f" The dotted line is the Dice of all labels, {findings.full.source}."
    return Picture(
        name=f"curves_{under.effort}",
        title=f"Dice against {title}",
        figure=draw_curves({"": under.curves}, findings.arms, title, full),
        alt=f"Learning curves of {', '.join(findings.arms)}: mean Dice of the test cases against {title}.",
        note=f"Each point is a model: the mean over {max(band.seeds for band in bands)} seeds and "
        f"{max(band.cases for band in bands)} test cases, at the mean effort of the seeds. Bands hold 95 % of 2000 "
        f"bootstraps of seeds and cases.{dotted}",
        data=_rows(under.curves),
    )


def _structures(findings: Findings, under: UnderEffort) -> Picture:
    title = EFFORTS[under.effort]
    rows = [_rows(curves).assign(structure=label) for label, curves in under.by_label.items()]
    return Picture(
        name=f"structures_{under.effort}",
        title=f"Dice of each structure against {title}",
        figure=draw_curves(under.by_label, findings.arms, title, None),
        alt=f"Learning curves of {', '.join(findings.arms)} for each of {', '.join(under.by_label)}, against {title}.",
        note="A case counts for a structure that is in the true or in the predicted mask.",
        data=pd.concat(rows, ignore_index=True),
    )


def _rows(curves: Mapping[str, LearningCurve]) -> pd.DataFrame:
    """One row for each point of a curve, as the figures draw it."""
    frames = [pd.DataFrame({"arm": arm, "effort": curve.effort, **vars(curve.dice)}) for arm, curve in curves.items()]
    return pd.concat(frames, ignore_index=True)


def _ranking(findings: Findings, under: UnderEffort, equal: EqualEffort) -> Table:
    frame = under.ranking.rename_axis("strategy").reset_index()
    frame = frame.rename(columns={"aubc": "AUBC", "final": "final Dice", "seeds": "n (seeds)", "cases": "n (cases)"})
    efficiencies = foreground_efficiencies(findings).set_index("arm")
    frame["foreground efficiency"] = efficiencies["foreground efficiency"].reindex(frame["strategy"]).to_numpy()
    return Table(
        name=f"ranking_{under.effort}",
        title=f"Compared between {equal.low:,.0f} and {equal.high:,.0f} {EFFORTS[under.effort]}",
        frame=frame,
        note="AUBC: the mean Dice on the way, that is, the area under the learning curve divided by the range that all "
        "runs cover. Final Dice: where that range ends. At a budget a strategy has its last model that was paid for "
        "within it; strategies that are not finished are left out. Foreground efficiency: how fast each thousand drawn "
        "foreground voxels closes the gap to the Dice of all labels (the rate of an exponential through the mean "
        "curve; larger is better).",
    )


def _tests(name: str, title: str, tests: Sequence[Comparison]) -> Table:
    rows = [
        {
            "first": test.arm,
            "second": test.against,
            "mean difference": test.mean_difference,
            "95 % from": test.low,
            "to": test.high,
            "n (seeds)": test.seeds,
            "first better in": f"{test.seeds_better} of {test.seeds} seeds",
            "p (t)": test.p,
            "p (Holm)": test.p_holm,
            "better": _better(test),
        }
        for test in tests
    ]
    return Table(
        name=name,
        title=title,
        frame=pd.DataFrame(rows),
        note=f"Differences are first minus second. {_OVER_SEEDS} Then Holm's correction for all tests. A dash: nothing "
        f"can be told, as there are fewer than {FEWEST_SEEDS} seeds, or as the difference is the same in each.",
    )


def _better(test: Comparison) -> str:
    if not test.told:
        return test.why_untold
    if test.p_holm >= SIGNIFICANT:
        return "no telling"
    return "first" if test.first_is_better else "second"


def _penalties(effort: str, steps: Sequence[pd.DataFrame]) -> Picture:
    matrix = penalty_matrix(steps, SIGNIFICANT)
    shares = (f"{arm}: {', '.join(f'{share:.2f}' for share in row)}" for arm, row in matrix.iterrows())
    return Picture(
        name=f"penalties_{effort}",
        title="How often is one better than another?",
        figure=draw_penalties(matrix),
        alt=f"How often the strategy of a row was better than that of a column, a row each: {'; '.join(shares)}.",
        note=f"The share of {len(steps)} budgets at which the strategy of the row was better than "
        f"that of the column with p < {SIGNIFICANT} (t test, n = {len(steps[-1])} seeds, not corrected: the "
        "pairwise penalty matrix of BADGE and nnActive). A good strategy has a dark row and a pale column.",
        data=matrix.rename_axis("strategy").reset_index(),
    )


def _enough(findings: Findings, full: float, effort: str) -> Table:
    assert findings.full is not None
    reached = efforts_to_reach(findings, effort)
    return Table(
        name=f"enough_{effort}",
        title=f"How many labels are enough for {100 * ENOUGH:.0f} % of the Dice of all labels?",
        frame=pd.DataFrame(
            {
                "strategy": reached["arm"],
                EFFORTS[effort]: reached["effort"],
                "least of a seed": reached["least"],
                "most of a seed": reached["most"],
                "reached by": [f"{row.reached} of {row.seeds} seeds" for row in reached.itertuples()],
            }
        ),
        note=f"That is a Dice of {ENOUGH * full:.3f}; the Dice of all labels, {full:.3f}, was {findings.full.source}. "
        "A dash: not reached. Where the first model has it already, less might have done.",
    )


def _ahead(findings: Findings, under: UnderEffort) -> Iterator[Block]:
    best, unit = findings.best, UNITS[under.effort]
    if best not in under.forecasts:
        return
    ahead = under.forecasts[best]
    yield Text(f"`{best}`: {ahead.sentence}")
    if ahead.expected is not None:
        yield Picture(
            name=f"forecast_{under.effort}",
            title=f"The learning curve of `{best}`, and what the next round would bring",
            figure=draw_forecast(*under.curves[best].paid_for, ahead, EFFORTS[under.effort]),
            alt=f"Dice of {best} against {EFFORTS[under.effort]}, a power law through it, and the forecast.",
            note=f"A power law through n = {ahead.n} models, each the mean over seeds and test cases. The bar holds "
            "95 % of where the curve may be.",
        )
    rows = [
        {
            "strategy": arm,
            f"more {unit}": one.at - under.curves[arm].effort[-1],
            "expected gain": one.gain_expected,
            "95 % from": one.gain_low,
            "to": one.gain_high,
            "n (models)": one.n,
        }
        for arm, one in under.forecasts.items()
        if one.gain_expected is not None
    ]
    if rows:
        yield Table(
            name=f"forecasts_{under.effort}",
            title="What would one more round bring?",
            frame=pd.DataFrame(rows),
            note="Dice gained by a round as large as the last, by a power law through the mean curve of a strategy.",
        )
