"""The page about a running project: the quality of its models, the cost of its labels, and whether to go on."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from activelabel.acquisition.effort import Effort
from activelabel.data.files.folder_reading import LEDGER_FILE
from activelabel.errors import InvalidInputError
from activelabel.loop.advice import effort_unit, forecast_of, forecast_sentence, judged_points, learning_curve
from activelabel.project.labels.kept_names import check_names
from activelabel.project.models.standing import read_standing
from activelabel.project.opening import plan_project
from activelabel.project.project import Project
from activelabel.project.studies import require_studies
from activelabel.report.figures import draw_forecast, draw_worths
from activelabel.report.page import Block, Folded, Page, Picture, Section, Table, Text
from activelabel.store.records.labels import SECOND

_SHOWN_LABELS = 30


def open_existing_project(app_dir: str, studies: str, conf: Mapping[str, str]) -> Project:
    """The project that a server has begun on `studies`.

    Raises:
        InvalidInputError: no server has begun one, its labels have other names, or settings are wrong; the line names
            the problem.
    """
    project = plan_project(app_dir, studies, conf)
    if project.ledger.file is not None and not project.ledger.file.is_file():
        require_studies(studies)
        raise InvalidInputError(
            f"--studies {studies}: expected a project in {project.folder}, got no {LEDGER_FILE} there: start the "
            "server first, or give its settings with --conf"
        )
    check_names(project.ledger, project.labels)
    return project


def project_page(project: Project) -> Page:
    """The page about a project from its ledger; the project needs no model yet."""
    curve = learning_curve(project)
    progress, readings = project.ledger.progress(), list(_readings(project))
    return Page(
        title=f"How far is the project in {project.folder}?",
        summary=[
            f"{progress.annotated} of {progress.images} volumes are annotated wholly, {progress.partly_annotated} in "
            f"part: {progress.annotated_slices} slices, with something drawn on {progress.foreground_slices}.",
            *_not_drawn(project),
            str(read_standing(project.ledger)),
            forecast_sentence(forecast_of(project, curve)),
        ],
        sections=[
            Section("How good after how much work", list(_curve(project, curve))),
            Section("What the labels have cost", [_costs(project)]),
            *([Section("Do two annotators agree?", readings)] if readings else []),
            Section("Is the model wrong where it is uncertain?", list(_worth_of_uncertainty(project))),
            Section("All settings", [Folded("Settings in force", json.dumps(project.settings_in_force(), indent=1)),
                                     Folded("Recipe", project.recipe.model_dump_json(indent=1))]),
        ],
    )  # fmt: skip


def _not_drawn(project: Project) -> Iterator[str]:
    """Sentences about labels that nobody drew, drafts, and cases that are set aside; none if there are none."""
    unchanged, drafts = project.ledger.unchanged_labels(), len(project.ledger.open_drafts())
    if any(unchanged.values()):
        yield (
            f"{unchanged['training']} training and {unchanged['validation']} validation labels are exactly what a "
            "model drew: somebody accepted them, and nobody drew them."
        )
    if drafts:
        yield f"{drafts} drawings are drafts: nothing learns from them until somebody finishes them."
    aside = project.ledger.set_aside_cases()
    if aside:
        named = "; ".join(f"{skip.image_id} ({skip.reason or 'no reason given'})" for skip in aside)
        yield f"{len(aside)} cases cannot be annotated, and are not asked for: {named}."


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
    """The costs of the labels that count, and in a row of their own those of second readings, if there are any."""
    rows = [_cost("labels that count", project.ledger.effort({}))]
    second = project.ledger.effort({}, SECOND)
    if second.patients or second.timed_queries:
        rows.append(_cost("second readings", second))
    return Table(
        "costs", "All labels so far", pd.DataFrame(rows),
        "An effort unit is a foreground slice of a volume of its own; three of one whole volume are one (chlebus2022). "
        "The time of a query is the active one where a client has said it, else that until its label came.",
    )  # fmt: skip


def _cost(labels: str, cost: Effort) -> dict[str, Any]:
    return {
        "labels": labels,
        "volumes": cost.patients,
        "slices": cost.slices,
        "foreground slices": cost.foreground_slices,
        "effort units": cost.units,
        "timed queries": cost.timed_queries,
        "of them by active time": cost.active_queries,
        "seconds a query": cost.seconds_per_query,
    }


def _readings(project: Project) -> Iterator[Block]:
    """How much two annotators agree, case by case and structure by structure."""
    versions = {label.id: label for image in project.ledger.images() for label in project.ledger.history(image.id)}
    rows = [
        {
            "case": reading.image_id,
            "structure": name,
            "first": versions[reading.first_id].annotator,
            "second": versions[reading.second_id].annotator,
            "Dice": one.dice,
            "distance (mm)": one.distance_mm,
            "agree": reading.agrees,
        }
        for reading in project.ledger.readings()
        for name, one in reading.structures.items()
    ]
    if rows:
        note = f"Two readings agree from a Dice of {project.settings.agreement:g} of every structure on."
        yield Table("readings", "Cases that were read twice", pd.DataFrame(rows), note)


def _worth_of_uncertainty(project: Project) -> Iterator[Block]:
    checks = project.ledger.uncertainty_checks()[-_SHOWN_LABELS:]
    if not checks:
        yield Text("No label has come back yet that a model had been asked about before.")
        return
    rows = [
        {"label": check.annotation_id, "model": check.model_version, "measure": check.measure,
         "wrong voxels": check.wrong_voxels, "n (voxels)": check.voxels, "correlation": check.correlation,
         "worth": check.worth}
        for check in checks
    ]  # fmt: skip
    yield Picture(
        name="worth_of_uncertainty",
        title=f"Worth of the uncertainty, of the last {len(checks)} labels",
        figure=draw_worths([check.worth for check in checks]),
        alt="How well the uncertainty went with the errors, label by label, from -1 to 1.",
        note="1: every wrong voxel was more uncertain than every other; 0: the uncertainty says nothing of the errors.",
    )
    yield Table(
        "worth_of_uncertainty", "Label by label", pd.DataFrame(rows),
        "Correlation is Spearman's, between uncertainty and errors; worth is its share of the largest there can be.",
    )  # fmt: skip
