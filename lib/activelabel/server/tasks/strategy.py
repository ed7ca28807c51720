"""The project's strategies as tasks of the host."""

import copy
from collections.abc import Collection, Mapping
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from activelabel.project.project import Project
from activelabel.server.client_info import annotator_of
from activelabel.strategies.asking import ProjectStrategy
from activelabel.strategies.case_requests import FORM
from activelabel.strategies.catalogue import build_strategies
from activelabel.strategies.proposal import Proposal


class HostStrategy(Strategy):
    """A strategy of the project; it asks for the annotator of a request."""

    def __init__(self, strategy: ProjectStrategy) -> None:
        super().__init__(strategy.description)
        self._strategy = strategy

    def info(self) -> dict[str, Any]:
        """Description and request options of the strategy, which both stock clients show."""
        return {**super().info(), "config": copy.deepcopy(FORM)}

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
        """The next case, as `ProjectStrategy.next` gives it."""
        return self._strategy.next(annotator_of(request), datastore)

    def look(self, annotator: str, without: Collection[str] = ()) -> Proposal | None:
        """What an annotator would be given next, as `ProjectStrategy.look` says; None also if it is not cheap."""
        return self._strategy.look(annotator, without) if self._strategy.is_cheap else None


def host_strategies(project: Project) -> dict[str, HostStrategy]:
    """All strategies by name, in the order in which clients list them. Raises as `build_strategies`."""
    return {name: HostStrategy(strategy) for name, strategy in build_strategies(project).items()}
