"""The app for the host: implements the hooks of the host's base class by an `Application`."""

import logging
import sys
from collections.abc import Mapping
from typing import Any

from monailabel.config import settings
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.batch_infer import BatchInferTask
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.interfaces.tasks.scoring import ScoringMethod
from monailabel.interfaces.tasks.strategy import Strategy

from activelabel import __version__
from activelabel.errors import ActiveLabelError
from activelabel.project.opening import open_project
from activelabel.project.project import Project
from activelabel.project.serving import disk_errors_explained, open_served_project
from activelabel.project.studies import reading_explained, require_answer
from activelabel.server.actions.application import Application
from activelabel.server.actions.autopilot import build_autopilot
from activelabel.server.actions.info import NAME, description
from activelabel.server.datastores.left_over import remove_left_over_in_background
from activelabel.server.guard import guard_host
from activelabel.server.login.listening import place_asked_for, require_login
from activelabel.server.opening import open_datastore
from activelabel.server.port import HOSTS_DEFAULT, require_free_port, when_listening
from activelabel.server.processes import (
    end_children_with_server,
    end_with_server,
    is_child,
    is_start_command,
    return_memory,
    stop_start,
)
from activelabel.server.project_tasks import build_tasks
from activelabel.server.quick_children import start_children_quickly
from activelabel.server.tasks.batch_infer import ReadableBatchInfer
from activelabel.server.tasks.training import HostTraining
from activelabel.server.welcome import welcome

logger = logging.getLogger(__name__)


class ActiveLabel(MONAILabelApp):
    """The host's app class for active learning.

    The host finds an app by the name of a direct base class, so `MONAILabelApp` must be named in the class line.

    Attributes:
        application: the app itself, which the routes call; the methods of this class are called by the host only.
    """

    def __init__(self, app_dir: str, studies: str, conf: Mapping[str, str]) -> None:
        if is_start_command():
            start_children_quickly()
        end_with_server()
        try:
            require_answer(studies)
            with reading_explained(studies):
                project = _opened_project(app_dir, studies, conf)
            with disk_errors_explained(project), reading_explained(studies, project.folder):
                self.application = _build_application(project, studies)
                super().__init__(
                    app_dir,
                    studies,
                    dict(conf),
                    name=NAME,
                    description=description(project),
                    version=__version__,
                    labels=list(project.labels.offered_names),
                )
        except ActiveLabelError as error:
            stop_start(error)
        self._auto_update_scoring = False  # the autopilot scores, once and not at every request

    # Parts from which the host builds an app

    def init_datastore(self) -> Datastore:
        """The datastore of the studies."""
        return self.application.datastore

    def init_infers(self) -> dict[str, InferTask]:
        """The inference tasks: segmentation and uncertainty map."""
        return dict(self.application.tasks.infers)

    def init_trainers(self) -> dict[str, HostTraining]:
        """The trainers of the task and of the proxy model."""
        return dict(self.application.tasks.trainers)

    def init_strategies(self) -> dict[str, Strategy]:
        """All strategies, and the recipe's own under the names `recipe` and `random` too."""
        return dict(self.application.tasks.strategies)

    def init_scoring_methods(self) -> dict[str, ScoringMethod]:
        """The scoring methods."""
        return dict(self.application.tasks.scoring_methods)

    def init_batch_infer(self) -> BatchInferTask:
        """Inference of many images."""
        return ReadableBatchInfer(self.application.project.ledger)

    # Methods that the host's own routes and children call

    def info(self) -> dict[str, Any]:
        """The description of the app."""
        return dict(self.application.info.read())

    def next_sample(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The next case to annotate."""
        return self.application.cases.next_sample(request)

    def infer(self, request: Mapping[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """A mask or a map of an image; `datastore` is ignored."""
        return self.application.inference.infer(request)

    def train(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Train now, in this process."""
        return self.application.train(request)

    def scoring(self, request: Mapping[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Score now, in this process; `datastore` is ignored."""
        return self.application.score(request)

    def on_save_label(self, image_id: str, label_id: str) -> None:
        """Wake the autopilot, which trains if the saved label makes a training due."""
        self.application.look_for_work()

    def on_init_complete(self) -> None:
        """Start the parts that only the server has: routes, guard, autopilot."""
        super().on_init_complete()
        application = self.application
        application.datastore.readmit_mended(at_start=True)
        guard_host(application.project)
        end_children_with_server(also=application.end)
        progress = application.project.ledger.progress()
        waiting = progress.images - progress.annotated - progress.unreadable
        place = place_asked_for(sys.argv[1:])
        when_listening(
            settings.MONAI_LABEL_SERVER_PORT,
            lambda port: logger.info(welcome(place.address(port), application.studies, waiting)),
        )
        if application.autopilot is not None:
            application.autopilot.start()
        application.read_ahead.start()
        return_memory()


def _opened_project(app_dir: str, studies: str, conf: Mapping[str, str]) -> Project:
    """Open the project. The server process also claims it, and requires a login if other machines can connect."""
    if is_child():
        return open_project(app_dir, studies, conf)
    port, place = settings.MONAI_LABEL_SERVER_PORT, place_asked_for(sys.argv[1:])
    if is_start_command():
        require_free_port(place.host or HOSTS_DEFAULT, port)
    project = open_served_project(app_dir, studies, conf, port)
    require_login(project, place, has_provider=settings.MONAI_LABEL_AUTH_ENABLE)
    remove_left_over_in_background(project)
    return project


def _build_application(project: Project, studies: str) -> Application:
    """Build the parts of the app; only the server, not a child process, watches the studies and has an autopilot."""
    child = is_child()
    datastore = open_datastore(project, studies, follow_changes=not child)
    tasks = build_tasks(
        project,
        trainers=settings.MONAI_LABEL_TASKS_TRAIN,
        strategies=settings.MONAI_LABEL_TASKS_STRATEGY,
        scoring=settings.MONAI_LABEL_TASKS_SCORING,
    )
    return Application(project, studies, datastore, tasks, None if child else build_autopilot(project, datastore))
