"""The app in a child process that scores or trains: only the methods that the host calls there.

The host starts a process for each scoring and each training. It looks for a class with a base named `MONAILabelApp`
in the app's `main.py`, instantiates it and calls `scoring` or `train`. The host's own class imports and builds all
parts of a server, which took longer than many scorings.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from activelabel.errors import ActiveLabelError
from activelabel.project.opening import open_project
from activelabel.project.project import Project
from activelabel.server.datastores.folder import LedgerDatastore
from activelabel.server.known import require_known
from activelabel.server.opening import open_datastore
from activelabel.server.processes import end_with_server, one_line_in_child, stop_start


class _Task(Protocol):
    def __call__(self, request: dict[str, Any], datastore: LedgerDatastore) -> Mapping[str, Any]:
        """Run the task and return its result."""


class MONAILabelApp:
    """A stand-in for the host's class of that name, by which the host finds an app."""


class TaskApp(MONAILabelApp):
    """An app that only scores or trains."""

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
        """Train with the trainer that `request["model"]` names."""
        from activelabel.server.tasks.training import build_trainers  # imports training code, which no scoring needs

        return self._run("trainer", build_trainers, str(request.get("model")), request)

    def _run(
        self, kind: str, build: Callable[[Project], Mapping[str, _Task]], name: str, request: Mapping[str, Any]
    ) -> dict[str, Any]:
        with one_line_in_child():
            tasks = build(self._project)
            require_known(name, tasks, kind)
            return dict(tasks[name](copy.deepcopy(dict(request)), self._datastore))
