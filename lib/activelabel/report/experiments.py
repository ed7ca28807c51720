"""The page about experiments."""

import json
import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from activelabel.acquisition.effort import AnnotatedQuery, effort
from activelabel.analysis.quantiles import quantile_effects
from activelabel.report.curves import models_within
from activelabel.report.examples import example_queries
from activelabel.report.findings import Findings, find
from activelabel.report.page import Block, Folded, Page, Section, Table
from activelabel.report.summary import summarise
from activelabel.report.under_effort import blocks_under
from activelabel.simulation.metrics import summary
from activelabel.simulation.results import EFFORTS, RUN, Results

_TABS = {
    "volumes": "by volumes",
    "slices": "by slices",
    "foreground_voxels": "by foreground voxels",
    "boundary_mm": "by contour length",
}
_COUNTED = ("image_id", "kind", "annotated_slices", "foreground_slices")
_METRICS = {
    "dice": "Dice",
    "relative_volume_error": "volume error (%)",
    "mean_surface_distance": "mean surface distance (mm)",
    "hausdorff_distance": "Hausdorff distance (mm)",
}


def experiments_page(results: Results) -> Page:
    """The page about experiments, from the short answer to all settings.

    Raises:
        InvalidInputError: there is no arm to compare.
    """
    findings = find(results)
    efforts = [findings.main, *(effort for effort in findings.under if effort != findings.main)]
    arm = _example_arm(findings)
    return Page(
        title=f"Which strategy asks best? {' and '.join(one.folder.resolve().name for one in results.experiments)}",
        summary=list(summarise(findings)),
        sections=[
            Section(
                "How good after how much work",
                tabs=[(_TABS[name], list(blocks_under(findings, name))) for name in efforts],
            ),
            Section("What the labels have cost", [_costs(results)]),
            Section("How bad are the worst cases?", tabs=list(_worst_cases(findings))),
            Section(f"What `{arm}` asked for", list(example_queries(results, arm))),
            Section("All settings", list(_settings(results))),
        ],
    )


def _costs(results: Results) -> Table:
    seconds = results.models.groupby(RUN)[["training_seconds", "scoring_seconds"]].sum().to_dict("index")
    rows = []
    for run, queries in results.queries.groupby(RUN, sort=False):
        cost = effort(
            AnnotatedQuery(image_id, kind == "volume", annotated, drawn)
            for image_id, kind, annotated, drawn in zip(*(queries[name].tolist() for name in _COUNTED), strict=True)
        )
        rows.append(
            {
                "strategy": run[0],
                "queries": len(queries),
                "volumes": cost.patients,
                "slices": cost.slices,
                "foreground slices": cost.foreground_slices,
                "effort units": cost.units,
                "foreground voxels": queries["foreground_voxels"].sum(),
                "contour (mm)": queries["boundary_mm"].sum(),
                "training (min)": seconds[run]["training_seconds"] / 60,
                "scoring (min)": seconds[run]["scoring_seconds"] / 60,
            }
        )
    by_arm = pd.DataFrame(rows).groupby("strategy", sort=False)
    frame = by_arm.mean().reset_index()
    frame.insert(1, "n (runs)", by_arm.size().to_numpy())
    return Table(
        name="costs",
        title="All that a run has cost, on average",
        frame=frame,
        note="Labels for validation are in it. An effort unit is a foreground slice of a volume of its own; three of "
        "one whole volume are one (chlebus2022, IV).",
    )


def _worst_cases(findings: Findings) -> Iterator[tuple[str, list[Block]]]:
    """By metric, the spread of its values over the cases, and the effect of each arm on the worst cases.

    Comparable arms are judged at the largest effort that all of them reached. If no arms are comparable, the last
    models are shown without a comparison.
    """
    under = findings.under[findings.main]
    metrics = findings.results.metrics[findings.results.metrics["arm"].isin(findings.arms)]
    if under.equal is None:
        models = metrics[metrics["round"] == metrics.groupby(RUN)["round"].transform("max")]
        which = "the last models"
    else:
        compared = metrics[metrics["arm"].isin(under.ranking.index)]
        models = models_within(compared, findings.efforts, under.effort, under.equal.high)
        which = f"the models after {under.equal.high:,.0f} {EFFORTS[under.effort]}"
    for metric, title in _METRICS.items():
        judged = models.dropna(subset=metric)
        blocks: list[Block] = [_spread(judged, metric, title, which)]
        if len(under.ranking) > 1 and np.isfinite(judged[metric]).any():
            arms = [arm for arm in findings.arms if arm in under.ranking.index]
            blocks.append(_effects_on_worst(judged, metric, _reference(arms), which))
        yield title, blocks


def _spread(judged: pd.DataFrame, metric: str, title: str, which: str) -> Table:
    rows = []
    for arm, of_arm in judged.groupby("arm", sort=False):
        found = summary(of_arm[metric].tolist())
        rows.append(
            {
                "strategy": arm,
                "mean": found.mean,
                "sd": found.sd,
                "5th percentile": found.percentile_5,
                "95th percentile": found.percentile_95,
                "missed": found.infinite,
                "n": found.count,
            }
        )
    return Table(
        name=f"spread_{metric}",
        title=f"{title} of {which}",
        frame=pd.DataFrame(rows),
        note="n counts seeds, test cases and structures. Missed: one of both masks was empty, so that the value is "
        "infinite.",
    )


def _effects_on_worst(judged: pd.DataFrame, metric: str, reference: str, which: str) -> Table:
    percent = 5 if metric == "dice" else 95
    largest = judged[metric][np.isfinite(judged[metric])].max()
    table = judged.assign(**{metric: judged[metric].replace(math.inf, largest)})
    at_reference, *effects = quantile_effects(table, metric, percent / 100, {"arm": reference})
    rows: list[tuple[object, ...]] = [(reference, at_reference.coefficient, None, None, None, None, at_reference.seeds)]
    rows += [
        (one.level, at_reference.coefficient + one.coefficient, one.coefficient, one.low, one.high, one.p, one.seeds)
        for one in effects
    ]
    columns = ["strategy", f"{percent}th percentile", "difference", "95 % from", "to", "p", "n (seeds)"]
    return Table(
        name=f"worst_{metric}",
        title=f"What a strategy does to the {percent}th percentile, compared with `{reference}`",
        frame=pd.DataFrame(rows, columns=columns),
        note=f"Quantile regression (chlebus2022, Table 9) on {which}, of each seed by itself, and the mean over "
        "seeds with its t interval. A missed structure counts as the largest finite value. p is not corrected. A dash: "
        "too few seeds to tell, or the same number in each.",
    )


def _reference(arms: Sequence[str]) -> str:
    """The random arm, which all others have to beat; the first arm if there is none."""
    return next((arm for arm in arms if arm.startswith("random")), arms[0])


def _settings(results: Results) -> Iterator[Folded]:
    for experiment in results.experiments:
        yield Folded(f"Experiment {experiment.folder}", json.dumps(experiment.settings, indent=1))
    for arm in results.arms:
        run = next(run for run in results.runs if run.arm == arm)
        yield Folded(f"{arm}, seed {run.seed}", json.dumps(run.settings, indent=1))


def _example_arm(findings: Findings) -> str:
    """The best arm whose queries a model chose; the best one if no model did."""
    asked = findings.results.queries
    by_model = set(asked.loc[asked["model_version"].notna() & (asked["role"] == "training"), "arm"])
    ranked = [findings.best, *findings.under[findings.main].ranking.index, *findings.arms]
    return next((arm for arm in ranked if arm in by_model), findings.best)
