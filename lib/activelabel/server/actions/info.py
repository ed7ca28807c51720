"""`GET /info/`: description of the app, settings in force, and progress of the project."""

import json
import threading
from collections.abc import Hashable, Mapping
from typing import Any

from fastapi.encoders import jsonable_encoder

from activelabel import __version__
from activelabel.data.intensities import odd_channels
from activelabel.loop.advice import advice
from activelabel.loop.autopilot import Autopilot
from activelabel.loop.due import read_situation
from activelabel.loop.scoring import scored_measure
from activelabel.loop.training.stats import for_bars
from activelabel.loop.waiting import autopilot_info
from activelabel.project.models.standing import read_standing
from activelabel.project.project import Project
from activelabel.project.readability import known_intensities
from activelabel.server.actions.blind import EVERYTHING, Blindfold
from activelabel.server.actions.cases import CaseActions
from activelabel.server.datastores.folder import LedgerDatastore
from activelabel.server.project_tasks import ProjectTasks
from activelabel.store.records.labels import SECOND
from activelabel.store.records.study import Progress
from activelabel.strategies.trust import read_trust

NAME = "activelabel"
COMPARED = 1000
"""The number of images whose intensities are compared; of others the log says it when they are read."""


class AppInfo:
    """The description of an app, cached until something that it depends on changes.

    Clients ask for it every few seconds, and it takes dozens of queries to the ledger. Each of its sources has a
    revision: the ledger, which includes events of other processes and expired leases; the datastore; the files to
    which a training writes its progress; and the state of the autopilot.

    Attributes:
        computations: how often the description was computed.
    """

    def __init__(
        self,
        project: Project,
        datastore: LedgerDatastore,
        tasks: ProjectTasks,
        cases: CaseActions,
        autopilot: Autopilot | None,
    ) -> None:
        """Describe the app that consists of these parts."""
        self._project = project
        self._datastore = datastore
        self._tasks = tasks
        self._cases = cases
        self._autopilot = autopilot
        self._lock = threading.Lock()
        self._kept = _Kept()
        self.computations = 0

    def read(self) -> Mapping[str, Any]:
        """The description as a dictionary, which callers share and must not change."""
        return self._current().info

    def as_json(self, blind: Blindfold = EVERYTHING) -> bytes:
        """The description as JSON, without what is hidden from who asks."""
        current = self._current()
        cases = blind.cases(current.info["cases"])
        return current.as_json() if cases is current.info["cases"] else encoded({**current.info, "cases": cases})

    def _current(self) -> "_Kept":
        with self._lock:
            revision = self._revision()  # read first, so that a change during the computation leads to a new one
            if revision != self._kept.revision:
                with self._project.ledger.one_look():
                    self._kept = _Kept(revision, self._compute())
                self.computations += 1
            return self._kept

    def _revision(self) -> Hashable:
        autopilot = self._autopilot
        return (
            self._project.ledger.revision(),
            self._datastore.revision,
            tuple(trainer.stats_revision() for trainer in self._tasks.trainers.values()),
            None if autopilot is None else (autopilot.busy, autopilot.rests),
        )

    def _compute(self) -> dict[str, Any]:
        project, ledger = self._project, self._project.ledger
        progress, standing = ledger.progress(), read_standing(ledger)
        situation, trust = read_situation(project, scored_measure(project)), read_trust(project).as_json()
        return {
            "name": NAME,
            "description": f"{description(project)}. {_progress_in_words(progress)}. {standing}",
            "version": __version__,
            "project": project.identity,
            "labels": list(project.labels.offered_names),
            **self._tasks_info(),
            "datastore": self._datastore.status(),
            "settings": project.settings_in_force(),
            "recipe": project.recipe.model_dump(mode="json"),
            "progress": vars(progress),
            "passed_over": self._datastore.passed_over(),
            "standing": str(standing),
            "model": standing.in_full(standing.in_use),
            "newest_model": standing.in_full(standing.newest),
            "autopilot": autopilot_info(project, situation, self._autopilot),
            "effort": self._effort(),
            "set_aside": {image.id: image.unreadable_reason for image in ledger.images_set_aside()},
            "modality": self._modality(),
            "uncertainty": trust,
            "doubt": trust,  # the name of earlier versions
            "advice": advice(project),
            "cases": self._cases.cases(),
        }

    def _effort(self) -> dict[str, Any]:
        """The effort for the labels that count, and beside it that for second readings."""
        patients, ledger = self._datastore.patients(), self._project.ledger
        return {**vars(ledger.effort(patients)), "second_readings": vars(ledger.effort(patients, SECOND))}

    def _tasks_info(self) -> dict[str, Any]:
        """The tasks under the keys that the host's clients read."""
        tasks = self._tasks
        return {
            "models": {name: infer.info() for name, infer in tasks.infers.items() if infer.is_valid()},
            "trainers": {name: trainer.info() for name, trainer in tasks.trainers.items()},
            "strategies": {name: strategy.info() for name, strategy in tasks.strategies.items()},
            "scoring": {name: method.info() for name, method in tasks.scoring_methods.items()},
            "train_stats": {name: for_bars(trainer.stats()) for name, trainer in tasks.trainers.items()},
        }

    def _modality(self) -> dict[str, Any] | None:
        """The modality of the images, how it was determined, and which images differ from the others."""
        modality = self._project.modality
        if modality is None:
            return None
        odd = odd_channels(known_intensities(self._project.ledger, COMPARED), self._project.layout.names)
        return {"name": modality.name, "reason": modality.reason, "intensity": self._project.preprocessing.intensity,
                "differing": odd}  # fmt: skip


class _Kept:
    """A cached description and its revision."""

    def __init__(self, revision: Hashable = None, info: Mapping[str, Any] | None = None) -> None:
        self.revision = revision
        self.info = info or {}
        self._json: bytes | None = None

    def as_json(self) -> bytes:
        if self._json is None:  # two threads may both compute it, which is harmless
            self._json = encoded(self.info)
        return self._json


def encoded(info: Mapping[str, Any]) -> bytes:
    """A description as JSON."""
    return json.dumps(jsonable_encoder(info), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def description(project: Project) -> str:
    """A short description of the app."""
    return f"Active learning: {project.recipe.title}"


def _progress_in_words(progress: Progress) -> str:
    """The progress in slices and volumes, for clients that show only the description."""
    return (
        f"Annotated: {progress.annotated_slices} slices; {progress.annotated} of {progress.images} volumes wholly, "
        f"{progress.partly_annotated} in part"
    )
