"""The scoring methods as the host has them."""

from collections.abc import Mapping
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.scoring import ScoringMethod

from activelabel.loop.proxy_scoring import ProxyScoring
from activelabel.loop.scoring import VolumeScoring, build_scoring_methods
from activelabel.project.project import Project

PROXY = "proxy"
"""The trainer and the scoring method of the proxy model."""


class HostScoring(ScoringMethod):
    """A scoring of the project, whatever the request says."""

    def __init__(self, scoring: VolumeScoring | ProxyScoring) -> None:
        super().__init__(scoring.description)
        self._scoring = scoring

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Score what is not scored yet. Raises as the scoring's `run`."""
        return self._scoring.run(datastore)


def scoring_methods(project: Project) -> dict[str, ScoringMethod]:
    """A scoring method a measure, and that of the proxy model if the recipe has one."""
    methods: dict[str, ScoringMethod] = {
        measure: HostScoring(scoring) for measure, scoring in build_scoring_methods(project).items()
    }
    if project.recipe.proxy is not None:
        methods[PROXY] = HostScoring(ProxyScoring(project, project.recipe.proxy))
    return methods
