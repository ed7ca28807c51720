"""One run: the oracle asks, draws and saves until the rounds are done. A killed run continues where it stopped.

The app's ledger and the tables of the run tell what has happened. A query is written down before its label is saved,
and the app gives an unanswered query again to the same annotator. A model is written down when it is first seen, and
measured before the next query. A round is measured by the model that was trained in it, even where an earlier model
stays in use and chooses the queries, as in a live project.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from activelabel.data.files.image_files import ImageFiles
from activelabel.data.labels.arrays import LabelArray
from activelabel.errors import InvalidInputError
from activelabel.simulation.annotator import Drawing, OracleAnnotator
from activelabel.simulation.cases import Cases
from activelabel.simulation.measuring import measure_test_cases
from activelabel.simulation.tables import RunTables


class Model(Protocol):
    """A published model of the task."""

    @property
    def version(self) -> int:
        """The number of the version."""

    @property
    def sha256(self) -> str:
        """The SHA-256 of its file."""

    @property
    def file(self) -> str:
        """Its name in the project's folder of models."""


class App(Protocol):
    """The app as the oracle uses it: in this process, or on a server."""

    def train_if_due(self) -> None:
        """Do, or wait for, the training that is due before the next query."""

    def score_if_due(self) -> None:
        """Do, or wait for, the scoring by the model in use."""

    def model(self) -> Model | None:
        """The newest published model: the one of the round, whether it is in use or not."""

    def ask(self, strategy: str) -> Mapping[str, Any]:
        """The next query; empty if no case is left."""

    def save(self, image_id: str, file: Path, info: Mapping[str, Any]) -> None:
        """Send a label."""

    def set_aside(self, image_id: str, error: InvalidInputError) -> None:
        """Go on without a case that cannot be annotated."""

    def segmenter(self, version: int) -> Callable[[ImageFiles], LabelArray]:
        """A function from an image's files to its segmentation by that model, values 0..N on the image's own grid."""

    def scores(self, version: int) -> Iterable[Mapping[str, Any]]:
        """All scores by that model, as rows of the table of scores."""


@dataclass(frozen=True)
class RunPlan:
    """The plan of a run: the strategy of the start set, the strategy of the rounds after it, and their number."""

    start_strategy: str
    strategy: str
    rounds: int
    labels: Sequence[str]


def simulate_run(
    plan: RunPlan,
    app: App,
    annotator: OracleAnnotator,
    cases: Cases,
    tables: RunTables,
    advanced: Callable[[int], None],
) -> bool:
    """Play a run to its end; call `advanced` with the number of measured models after each one.

    Returns:
        Whether all rounds were played; the run ends earlier if no case is left to ask for.
    """
    run = _Run(plan, app, annotator, cases, tables)
    advanced(run.measured)
    while run.measured <= plan.rounds:
        run.train()
        if run.measure_newest():
            advanced(run.measured)
        elif not run.ask_and_draw():
            return False
    return True


class _Run:
    """The steps of a run. After each, the tables allow the next step, or a later process, to continue."""

    def __init__(self, plan: RunPlan, app: App, annotator: OracleAnnotator, cases: Cases, tables: RunTables) -> None:
        self._plan, self._app, self._annotator, self._cases, self._tables = plan, app, annotator, cases, tables

    @property
    def measured(self) -> int:
        """The number of models with metrics."""
        return len({row["model_version"] for row in self._tables.metrics.rows})

    def train(self) -> None:
        """Train if it is due, and write a new model down."""
        started = time.monotonic()
        self._app.train_if_due()
        model, known = self._app.model(), [row["model_version"] for row in self._tables.models.rows]
        if model is None or model.version in known:
            return
        row = {
            "round": len(known),  # the first model, of the start set alone, is that of round 0
            "model_version": model.version, "sha256": model.sha256, "file": model.file,
            "training_seconds": time.monotonic() - started, "scoring_seconds": None,
        }  # fmt: skip
        self._tables.models.add([row])

    def measure_newest(self) -> bool:
        """Measure the newest model if it is not measured yet; return whether it was measured now."""
        models = self._tables.models.rows
        if len(models) == self.measured:
            return False
        newest = models[-1]
        at = {"round": newest["round"], "model_version": newest["model_version"]}
        segment = self._app.segmenter(int(newest["model_version"]))
        self._tables.metrics.add([{**at, **row} for row in measure_test_cases(segment, self._cases, self._plan.labels)])
        return True

    def ask_and_draw(self) -> bool:
        """Ask and answer one query; False if no case is left. A case with an unfit label is set aside."""
        self._score()
        round_number = len(self._tables.models.rows)
        answer = self._app.ask(self._plan.strategy if round_number else self._plan.start_strategy)
        if not answer:
            return False
        try:
            drawing = self._annotator.draw(answer)
        except InvalidInputError as error:
            self._app.set_aside(str(answer["id"]), error)
            return True
        row = _query_row(answer, drawing, round_number)
        latest = self._tables.queries.rows[-1] if self._tables.queries.rows else None
        order = 0 if latest is None else int(latest["order"]) + 1
        # A run that was killed before its label was saved is given the same query again, which is written down already.
        if latest is None or any(latest[key] != row[key] for key in ("round", "image_id", "slices")):
            self._tables.queries.add([{"order": order, **row}])
        try:
            self._app.save(str(answer["id"]), drawing.file, drawing.info)
        except InvalidInputError as error:
            self._app.set_aside(str(answer["id"]), error)
        return True

    def _score(self) -> None:
        """Score if it is due, and write down the newest model's scores, of which there are none if it is not in use."""
        models = list(self._tables.models.rows)
        if not models or models[-1]["scoring_seconds"] is not None:
            return
        started = time.monotonic()
        self._app.score_if_due()
        version = int(models[-1]["model_version"])
        earlier = [row for row in self._tables.scores.rows if row["model_version"] != version]
        self._tables.scores.replace([*earlier, *self._app.scores(version)])
        self._tables.models.replace([*models[:-1], {**models[-1], "scoring_seconds": time.monotonic() - started}])


def _query_row(answer: Mapping[str, Any], drawing: Drawing, round_number: int) -> dict[str, Any]:
    query = answer["query"]
    return {
        "round": round_number,
        "image_id": answer["id"],
        "role": answer["role"],
        "kind": query["kind"],
        "axis": query.get("axis"),
        "slices": query.get("slices"),
        "strategy": answer["strategy"],
        "model_version": answer["model_version"],
        "score": answer["score"],
        "reason": answer["reason"],
        "annotated_slices": drawing.annotated_slices,
        "foreground_slices": drawing.foreground_slices,
        "foreground_voxels": drawing.foreground_voxels,
        "boundary_mm": drawing.boundary_mm,
    }
