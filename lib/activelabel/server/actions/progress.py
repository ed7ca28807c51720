"""The progress of a project: what runs and how long it takes, what it waits for, learning curve and forecast."""

import json
import logging
import threading
from collections.abc import Callable, Collection, Hashable
from pathlib import Path
from typing import Any

import numpy as np

from activelabel.analysis.bands import class_mean_interval
from activelabel.loop.advice import advice
from activelabel.loop.autopilot import Autopilot
from activelabel.loop.due import read_situation
from activelabel.loop.judging import case_metrics
from activelabel.loop.race import COUNT_FILE
from activelabel.loop.scoring import scored_measure
from activelabel.loop.training.run import VALIDATION_FILE
from activelabel.loop.training.stats import stats_revision
from activelabel.loop.waiting import autopilot_info
from activelabel.names import ScoreKind
from activelabel.project.project import Project
from activelabel.server.actions.progress_answers import ProjectProgress, ScoringProgress, TrainingProgress
from activelabel.server.datastores.folder import LedgerDatastore
from activelabel.server.host_tasks import Running, running_tasks
from activelabel.server.project_tasks import ProjectTasks
from activelabel.server.task_names import TRAINER
from activelabel.training.evaluation import mean_dice

logger = logging.getLogger(__name__)

PACE_IMAGES = 20
"""From how many of the last scored images the pace of a scoring is taken."""


class ProgressReader:
    """The progress of a project, computed when something has changed on which it depends."""

    def __init__(
        self,
        project: Project,
        datastore: LedgerDatastore,
        tasks: ProjectTasks,
        autopilot: Autopilot | None,
        running: Callable[[], Collection[Running]] = running_tasks,
    ) -> None:
        """Read the progress of the project of these parts; `running` gives the tasks of the server that run now."""
        self._project = project
        self._datastore = datastore
        self._tasks = tasks
        self._autopilot = autopilot
        self._running = running
        self._lock = threading.Lock()
        self._known: tuple[Hashable, ProjectProgress] | None = None
        self._intervals: dict[tuple[int, float | None], tuple[float, float] | None] = {}

    def revision(self) -> Hashable:
        """A value that changes with everything on which the progress depends; reading it costs two small queries."""
        autopilot = self._autopilot
        return (
            self._project.ledger.revision(),
            self._datastore.revision,
            tuple(trainer.stats_revision() for trainer in self._tasks.trainers.values()),
            stats_revision(self._project.folder / COUNT_FILE),
            tuple(self._running()),
            None if autopilot is None else (autopilot.busy, autopilot.rests),
        )

    def read(self) -> ProjectProgress:
        """The progress now."""
        with self._lock:
            revision = self.revision()
            if self._known is None or self._known[0] != revision:
                self._known = (revision, self._compute())
            return self._known[1]

    def _compute(self) -> ProjectProgress:
        project, ledger, running = self._project, self._project.ledger, self._running()
        progress, measure = ledger.progress(), scored_measure(project)
        found = autopilot_info(project, read_situation(project, measure), self._autopilot)
        ahead = advice(project)
        curve = [{**point, **self._interval(point)} for point in ahead["learning_curve"]]
        return ProjectProgress.model_validate(
            {
                "model_version": progress.model_in_use,
                "newest_model": progress.latest_model,
                "training": self._training(running),
                "scoring": self._scoring(running, progress.model_in_use, ScoreKind(measure)),
                "waits_for": found["waits_for"],
                "labels": found["labels"],
                "images": progress.images,
                "annotated": progress.annotated,
                "partly_annotated": progress.partly_annotated,
                "unit": ahead["unit"],
                "learning_curve": curve,
                "forecast": ahead["forecast"],
                "seconds_ahead": ahead["seconds_ahead"],
                "advice": ahead["sentence"],
            }
        )

    def _training(self, running: Collection[Running]) -> TrainingProgress:
        """The training that runs; what the last one has left in its file is not taken for it."""
        name = next((one.name for one in running if one.method == "train"), None)
        if name is None and self._project.ledger.claims("train"):  # a worker at another machine
            name = TRAINER
        trainer = None if name is None else self._tasks.trainers.get(name)
        stats = {} if trainer is None else trainer.stats()
        if "total_time" in stats:  # of a training that is over: the one that runs has not ended an epoch
            stats = {}
        best = stats.get("best_metric")
        return TrainingProgress(
            running=name is not None,
            model=name,
            stage=stats.get("stage"),
            epoch=stats.get("epoch"),
            epochs=stats.get("total_epochs"),
            seconds_left=stats.get("seconds_left"),
            dice=best if "eval" in stats and isinstance(best, float) and best >= 0 else None,
        )

    def _scoring(self, running: Collection[Running], model_version: int | None, kind: ScoreKind) -> ScoringProgress:
        runs = any(one.method == "scoring" for one in running) or bool(self._project.ledger.claims("score"))
        races = runs and self._project.recipe.prediction.racing
        race = _read_count(self._project.folder / COUNT_FILE) if races else None
        if race is not None:
            return ScoringProgress(running=True, unit="repeats", **race)
        if model_version is None:
            return ScoringProgress(running=runs, unit="images", done=0, all=0, seconds_left=None)
        ledger = self._project.ledger
        unscored, left = len(ledger.unscored(model_version, kind)), ledger.count_unfinished("training")
        seconds = None
        if runs and unscored:
            times = ledger.last_score_times(model_version, kind, PACE_IMAGES)
            if len(times) > 1:
                seconds = (times[0] - times[-1]).total_seconds() / (len(times) - 1) * unscored
        return ScoringProgress(running=runs, unit="images", done=left - unscored, all=left, seconds_left=seconds)

    def _interval(self, point: dict[str, Any]) -> dict[str, float | None]:
        """The interval of a model's Dice over its validation cases, if the run that trained it is still there."""
        measured = (point["model_version"], point.get("dice"))
        if measured not in self._intervals:
            self._intervals[measured] = dice_interval(self._project.runs_folder, *measured)
        low, high = self._intervals[measured] or (None, None)
        return {"dice_low": low, "dice_high": high}


def dice_interval(runs_folder: Path, version: int, dice: float | None) -> tuple[float, float] | None:
    """The 95 % bootstrap interval, over the validation cases of a model's training, of its Dice.

    None if it is not known: the model was not trained here, fewer than two cases have a Dice, or `dice` is not the mean
    of these cases, because the model was measured again on others.
    """
    for file in runs_folder.glob(f"*_model_{version}/{VALIDATION_FILE}"):
        try:
            cases = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            logger.warning("the interval of model %d is not known: %s cannot be read: %s", version, file, error)
            return None
        rows = [list(classes.values()) for classes in cases.values() if mean_dice(classes) is not None]
        if len(rows) > 1 and dice is not None:
            of_these_cases = case_metrics(cases, next(iter(cases.values())))["dice"]
            is_mean = of_these_cases is not None and np.isclose(dice, of_these_cases)
            return class_mean_interval(np.array(rows, dtype=np.float64)) if is_mean else None  # None is read as NaN
    return None


def _read_count(file: Path) -> dict[str, Any] | None:
    """The count of a race that runs; None if none does."""
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
