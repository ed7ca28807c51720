"""The app: a project, its images, its tasks, and what clients ask of them. It knows no web server."""

import copy
import threading
from collections.abc import Mapping
from typing import Any

from activelabel.loop.autopilot import Autopilot
from activelabel.project.models.standing import read_standing
from activelabel.project.project import Project
from activelabel.server.actions.ahead.reading import ReadAhead
from activelabel.server.actions.ahead.requests import requests
from activelabel.server.actions.blind import BlindReadings, blind_for_all
from activelabel.server.actions.cases import CaseActions
from activelabel.server.actions.events import EventHub
from activelabel.server.actions.inference import Inference
from activelabel.server.actions.info import AppInfo
from activelabel.server.actions.maps import MapActions
from activelabel.server.actions.models import ModelActions
from activelabel.server.actions.progress import ProgressReader
from activelabel.server.actions.reviews import ReviewActions
from activelabel.server.actions.worklist import WorklistReader
from activelabel.server.datastores.folder import LedgerDatastore
from activelabel.server.processes import one_line_in_child
from activelabel.server.project_tasks import ProjectTasks

CLOSE_SECONDS = 5.0
"""How long the end of the server waits for the listing of its images: with a million images it is written in three."""
BREAK_OFF_SECONDS = 1.0
"""How long it then waits until the unfinished file is removed."""


class Application:
    """The parts of the app, independent of the web server that runs it.

    Attributes:
        project: settings, recipe and ledger.
        studies: the folder of images, or the address of a PACS.
        datastore: its images and labels.
        tasks: models, trainers, strategies and scoring methods.
        autopilot: trains and scores automatically; None if it is off, and in a child process of the server.
        read_ahead: reads the images of cases that annotators would be given next.
        cases: actions on cases: next, skip, draft, finish.
        reviews: actions of reviewers: take, approve, return.
        blind: which images the person who asks reads without seeing what others have drawn.
        models: actions on models: upload, withdraw, the model in use.
        inference: computes masks and uncertainty maps for clients.
        maps: computes maps of uncertainty and probability, voxel by voxel.
        info: the answer to `GET /info/`.
        progress: what runs, what the project waits for, learning curve and forecast.
        events: tells clients that listen of all changes.
    """

    def __init__(
        self,
        project: Project,
        studies: str,
        datastore: LedgerDatastore,
        tasks: ProjectTasks,
        autopilot: Autopilot | None,
    ) -> None:
        self.project = project
        self.studies = studies
        self.datastore = datastore
        self.tasks = tasks
        self.autopilot = autopilot
        self.read_ahead = ReadAhead(project, datastore, tasks.strategies, requests)
        self.cases = CaseActions(project, datastore, tasks.strategies, self.look_for_work, self.read_ahead.expect)
        self.reviews = ReviewActions(project, datastore, self.look_for_work)
        self.blind = BlindReadings(project)
        self._closing: threading.Thread | None = None
        self.models = ModelActions(project, datastore)
        self.inference = Inference(project, datastore, tasks.infers, self.models)
        self.maps = MapActions(project, datastore, tasks.loaded)
        self.info = AppInfo(project, datastore, tasks, self.cases, autopilot)
        self.progress = ProgressReader(project, datastore, tasks, autopilot)
        self.events = EventHub(
            self.progress.revision,
            self.progress.read,
            standing=lambda: str(read_standing(project.ledger)),
            states=lambda: WorklistReader(project.ledger, blind_for_all(project)).states(),
        )

    def look_for_work(self) -> None:
        """Wake the autopilot after labels or cases have changed, so that it checks at once whether work is due."""
        if self.autopilot is not None:
            self.autopilot.nudge()

    def end(self) -> None:
        """End what goes on by itself, as the server ends: the web server waits for open answers, such as events.

        What takes long is broken off, and at once if this is called again. It runs amid the main thread, which may hold
        any lock, so another thread closes the datastore.
        """
        if self._closing is not None:
            self._break_off(self._closing)
            return
        self._closing = threading.Thread(target=self.datastore.close, name="closing", daemon=True)
        self._closing.start()
        self.events.close()
        self.read_ahead.stop()
        self._closing.join(CLOSE_SECONDS)
        if self._closing.is_alive():
            self._break_off(self._closing)

    def _break_off(self, closing: threading.Thread) -> None:
        self.datastore.break_off()
        closing.join(BREAK_OFF_SECONDS)

    def check_training(self, trainer: str, params: Mapping[str, Any]) -> None:
        """Refuse a training that cannot begin.

        Raises:
            ActiveLabelError: the training cannot begin; the line says why.
        """
        self.tasks.trainers[trainer].check_request(params)

    def train(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Train now, in this process, with the trainer that `request["model"]` names."""
        with one_line_in_child():
            trainer = self.tasks.trainers[str(request["model"])]
            return dict(trainer(copy.deepcopy(dict(request)), self.datastore))

    def score(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Score now, in this process, with the method that `request["method"]` names."""
        with one_line_in_child():
            method = self.tasks.scoring_methods[str(request["method"])]
            return dict(method(copy.deepcopy(dict(request)), self.datastore))
