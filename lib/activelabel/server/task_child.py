"""The app in a process that scores or trains: what the host asks of an app there, and no more.

The host starts a process for each scoring and each training, which looks for a class with a base called `MONAILabelApp`
in the app's `main.py`, makes one and calls its `scoring` or its `train`. The host's own class imports and builds all
that a server needs, which took longer than many a scoring.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from activelabel.errors import ActiveLabelError
from activelabel.project.project import Project, open_project
from activelabel.server.datastores.folder import LedgerDatastore
from activelabel.server.known import require_known
from activelabel.server.opening import open_datastore
from activelabel.server.processes import end_with_server, one_line_in_child, stop_start


class _Task(Protocol):
    def __call__(self, request: dict[str, Any], datastore: LedgerDatastore) -> Mapping[str, Any]:
        """Do it, and tell of it."""


class MONAILabelApp:
    """Stands for the host's class of that name, by which an app is found."""


class TaskApp(MONAILabelApp):
    """Scores or trains."""

    def __init__(self, app_dir: str, studies: str, conf: Mapping[str, str]) -> None:
        end_with_server()
        try:
            self._project = open_project(app_dir, studies, conf)
            self._datastore = open_datastore(self._project, studies, follow_changes=False)
        except ActiveLabelError as error:
            stop_start(error)

    def scoring(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Score with the method that the request names."""
        from activelabel.server.tasks.scoring import scoring_methods

        return self._run("scoring method", scoring_methods, str(request.get("method")), request)

    def train(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Train with the trainer that the request calls `model`."""
        from activelabel.server.project_tasks import build_trainers  # imports what trains, which no scoring needs

        return self._run("trainer", build_trainers, str(request.get("model")), request)

    def _run(
        self, kind: str, build: Callable[[Project], Mapping[str, _Task]], name: str, request: Mapping[str, Any]
    ) -> dict[str, Any]:
        with one_line_in_child():
            tasks = build(self._project)
            require_known(name, tasks, kind)
            return dict(tasks[name](copy.deepcopy(dict(request)), self._datastore))
