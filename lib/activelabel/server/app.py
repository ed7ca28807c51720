"""The app in the server, and in its children that train: wires, computes nothing."""

import sys
from collections.abc import Mapping

from monailabel.config import settings
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.batch_infer import BatchInferTask
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.interfaces.tasks.scoring import ScoringMethod
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.interfaces.tasks.train import TrainTask

from activelabel import __version__
from activelabel.errors import ActiveLabelError
from activelabel.project.project import open_project
from activelabel.project.serving import explained, open_served_project
from activelabel.server.application import ProjectActions
from activelabel.server.login.listening import place_asked_for, require_login
from activelabel.server.port import HOSTS_DEFAULT, require_free_port
from activelabel.server.processes import end_with_server, is_child, is_start_command, stop_start


class ActiveLabel(ProjectActions, MONAILabelApp):
    """Asks for the case from which the model will learn most.

    The host finds an app by the name of a direct base class, so `MONAILabelApp` must stand in this very line.
    """

    def __init__(self, app_dir: str, studies: str, conf: Mapping[str, str]) -> None:
        end_with_server()
        try:
            if is_child():
                self.project = open_project(app_dir, studies, conf)
            else:
                port, place = settings.MONAI_LABEL_SERVER_PORT, place_asked_for(sys.argv[1:])
                if is_start_command():
                    require_free_port(place.host or HOSTS_DEFAULT, port)
                self.project = open_served_project(app_dir, studies, conf, port)
                require_login(self.project, place, has_provider=settings.MONAI_LABEL_AUTH_ENABLE)
            with explained(self.project):
                super().__init__(
                    app_dir,
                    studies,
                    dict(conf),
                    name="activelabel",
                    description=f"Active learning: {self.project.recipe.title}",
                    version=__version__,
                    labels=list(self.project.labels),
                )
        except ActiveLabelError as error:
            stop_start(error)
        self._auto_update_scoring = False  # the autopilot scores, once and not at every question

    def init_datastore(self) -> Datastore:
        """The studies, with the ledger behind them."""
        return self.open_datastore()

    def init_infers(self) -> dict[str, InferTask]:
        """The model in use."""
        return self.build_infers()

    def init_trainers(self) -> dict[str, TrainTask]:
        """The trainers of the task and of the proxy model."""
        return self.build_trainers()

    def init_strategies(self) -> dict[str, Strategy]:
        """All strategies, and the recipe's own under the name `random`."""
        return self.build_strategies()

    def init_scoring_methods(self) -> dict[str, ScoringMethod]:
        """The scoring methods."""
        return self.build_scoring_methods()

    def init_batch_infer(self) -> BatchInferTask:
        """Inference of many images."""
        return self.build_batch_infer()
