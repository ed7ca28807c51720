"""The app in a process that scores: what the host's start of a scoring asks of an app, and no more.

The host starts a process for each scoring, which looks for a class with a base called `MONAILabelApp` in the app's
`main.py`, makes one and calls its `scoring`. The host's own class imports and builds all that a server needs, which
took longer than many a scoring.
"""

import copy
from collections.abc import Mapping
from typing import Any

from activelabel.errors import ActiveLabelError
from activelabel.project.project import open_project
from activelabel.server.known import require_known
from activelabel.server.opening import open_datastore
from activelabel.server.processes import end_with_server, one_line_in_child, stop_start
from activelabel.server.tasks.scoring import scoring_methods


class MONAILabelApp:
    """Stands for the host's class of that name, by which an app is found."""


class ScoringApp(MONAILabelApp):
    """Scores."""

    def __init__(self, app_dir: str, studies: str, conf: Mapping[str, str]) -> None:
        end_with_server()
        try:
            self.project = open_project(app_dir, studies, conf)
            self._datastore = open_datastore(self.project, studies, follow_changes=False)
            self._scoring_methods = scoring_methods(self.project)
        except ActiveLabelError as error:
            stop_start(error)

    def scoring(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Score with the method that the request names."""
        with one_line_in_child():
            method = str(request.get("method"))
            require_known(method, self._scoring_methods, "scoring method")
            return dict(self._scoring_methods[method](copy.deepcopy(dict(request)), self._datastore))
