"""The page about a running project: how good its models are, what the labels cost, and whether to go on."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from activelabel.data.studies_folder import LEDGER_FILE
from activelabel.errors import InvalidInputError
from activelabel.server.advice import effort_unit, forecast_of, judged_points, learning_curve, said
from activelabel.server.project import Project, plan_project
from activelabel.simulation.report.figures import draw_doubts, draw_forecast
from activelabel.simulation.report.page import Block, Folded, Page, Picture, Section, Table, Text

_SHOWN_DOUBTS = 30


def open_existing_project(app_dir: str, studies: str, conf: Mapping[str, str]) -> Project:
    """The project that a server has begun on these studies.

    Raises:
        InvalidInputError: no server has, or settings are wrong; the line says what.
    """
    project = plan_project(app_dir, studies, conf)
    if not project.settings.database_url and not (project.folder / LEDGER_FILE).is_file():
        raise InvalidInputError(
            f"--studies {studies}: expected a project in {project.folder}, got no {LEDGER_FILE} there: start the "
            "server first, or give its settings with --conf"
        )
    return project


def project_page(project: Project) -> Page:
    """What the ledger of a project says so far, before its first model too."""
    curve = learning_curve(project)
    progress = project.ledger.progress()
    return Page(
        title=f"How far is the project in {project.folder}?",
        summary=[
            f"{progress.annotated} of {progress.images} volumes are annotated wholly, {progress.partly_annotated} in "
            f"part: {progress.annotated_slices} slices, with something drawn on {progress.foreground_slices}.",
            _newest(curve),
            said(forecast_of(project, curve)),
        ],
        sections=[
            Section("How good after how much work", list(_curve(project, curve))),
            Section("What the labels have cost", [_costs(project)]),
            Section("Is the model wrong where it doubts?", list(_doubts(project))),
            Section("All settings", [Folded("Settings in force", json.dumps(project.settings_in_force(), indent=1)),
                                     Folded("Recipe", project.recipe.model_dump_json(indent=1))]),
        ],
    )  # fmt: skip


def _newest(curve: Sequence[dict[str, Any]]) -> str:
    if not curve:
        return "There is no model yet that was trained on the labels."
    newest = curve[-1]
    if newest.get("dice") is None:
        return f"The newest model is version {newest['model_version']}; no validation case says how good it is."
    return (
        f"The newest model, version {newest['model_version']}, overlaps with the labels of the validation cases with a "
        f"mean Dice of {newest['dice']:.3f} (0 to 1)."
    )


def _curve(project: Project, curve: Sequence[dict[str, Any]]) -> Iterator[Block]:
    unit, judged, ahead = effort_unit(project), judged_points(project, curve), forecast_of(project, curve)
    if ahead is not None:
        title = f"{unit} annotated, those for validation among them"
        cases = max(point["validation_cases"] for point in curve)
        yield Picture(
            name="learning_curve",
            title=f"Dice of the validation cases against {unit} annotated",
            figure=draw_forecast([effort for effort, _ in judged], [dice for _, dice in judged], ahead, title),
            alt=f"Learning curve of the project: {len(judged)} models, Dice against {title}.",
            note=f"Each point is one of {ahead.n} models, judged by up to {cases} validation cases: with few of them "
            f"points scatter.{'' if ahead.expected is None else ' The bar holds 95 % of where the curve may be.'}",
            data=pd.DataFrame(judged, columns=[unit, "dice"]),
        )
    if curve:
        yield Table(
            "models", "All models", pd.DataFrame(curve), "Dice is that of the validation cases; a dash: none to judge."
        )
    else:
        yield Text("The first model is trained when enough cases are labelled.")


def _costs(project: Project) -> Table:
    cost = project.ledger.effort({})
    row = {
        "volumes": cost.patients,
        "slices": cost.slices,
        "foreground slices": cost.foreground_slices,
        "effort units": cost.units,
        "timed queries": cost.timed_queries,
        "seconds a query": cost.seconds_per_query,
    }
    return Table(
        "costs", "All labels so far", pd.DataFrame([row]),
        "An effort unit is a foreground slice of a volume of its own; three of one whole volume are one (chlebus2022).",
    )  # fmt: skip


def _doubts(project: Project) -> Iterator[Block]:
    doubts = project.ledger.doubts()[-_SHOWN_DOUBTS:]
    if not doubts:
        yield Text("No label has come back yet that a model had been asked about before.")
        return
    rows = [
        {"label": doubt.annotation_id, "model": doubt.model_version, "measure": doubt.measure,
         "wrong voxels": doubt.wrong_voxels, "n (voxels)": doubt.voxels, "correlation": doubt.correlation,
         "worth": doubt.worth}
        for doubt in doubts
    ]  # fmt: skip
    yield Picture(
        name="doubts",
        title=f"Worth of the doubt, of the last {len(doubts)} labels",
        figure=draw_doubts([doubt.worth for doubt in doubts]),
        alt="How well the doubt went with the errors, label by label, from -1 to 1.",
        note="1: every wrong voxel was doubted more than every other; 0: the doubt says nothing of the errors.",
    )
    yield Table(
        "doubts", "Label by label", pd.DataFrame(rows),
        "Correlation is Spearman's, between doubt and errors; worth is its share of the largest that there can be.",
    )  # fmt: skip
