"""Strategies that look at the truth: what no live project can do, to compare with."""

from collections.abc import Mapping
from pathlib import Path

from activelabel.server.project import Project
from activelabel.server.strategies import ProjectStrategy

ORACLE_STRATEGIES: frozenset[str] = frozenset()


def oracle_strategies(project: Project, labels: Mapping[str, Path]) -> dict[str, ProjectStrategy]:
    """All of them, by name, for a project whose images have these true labels."""
    return {}
