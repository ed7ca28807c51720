"""The project's scoring methods as tasks of the host."""

from collections.abc import Mapping
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.scoring import ScoringMethod

from activelabel.loop.proxy_scoring import ProxyScoring
from activelabel.loop.scoring import VolumeScoring, build_scoring_methods
from activelabel.project.project import Project

PROXY = "proxy"
"""Name of both the trainer and the scoring method of the proxy model."""


class HostScoring(ScoringMethod):
    """A scoring of the project; it ignores the request."""

    def __init__(self, scoring: VolumeScoring | ProxyScoring) -> None:
        super().__init__(scoring.description)
        self._scoring = scoring

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Score the images that have no score yet. Raises as the scoring's `run`."""
        return self._scoring.run(datastore)


def scoring_methods(project: Project) -> dict[str, ScoringMethod]:
    """One scoring method for each measure, and one for the proxy model if the recipe has one."""
    methods: dict[str, ScoringMethod] = {
        measure: HostScoring(scoring) for measure, scoring in build_scoring_methods(project).items()
    }
    if project.recipe.proxy is not None:
        methods[PROXY] = HostScoring(ProxyScoring(project, project.recipe.proxy))
    return methods
