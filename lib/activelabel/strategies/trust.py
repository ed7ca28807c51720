"""Decides whether a project's uncertainty is trusted, and what is asked for if it is not."""

import statistics
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from activelabel.project.project import Project
from activelabel.strategies.proposal import Proposal, Proposals


@dataclass(frozen=True)
class Trust:
    """How well the uncertainty of a model agreed with its errors in the labels that came back.

    Attributes:
        latest: `UncertaintyCheck.worth` of the `window` newest labels that have one, oldest first.
        labels: the number of labels that have one.
        window: the number of labels needed to judge.
        least: the smallest mean with which the uncertainty is trusted.
    """

    latest: tuple[float, ...]
    labels: int
    window: int
    least: float

    @property
    def mean(self) -> float | None:
        """The mean of `latest`; None if it is empty."""
        return statistics.fmean(self.latest) if self.latest else None

    @property
    def trusted(self) -> bool:
        """Whether uncertainty may be used; True also while too few labels have come back to judge."""
        return self.mean is None or len(self.latest) < self.window or self.mean >= self.least

    def as_json(self) -> dict[str, Any]:
        """The trust as `GET /info/` shows it."""
        return {"last": list(self.latest), "mean": self.mean, "labels": self.labels, "trusted": self.trusted}

    def __str__(self) -> str:
        return (
            f"where the model is uncertain says little of where it is wrong (rank correlation {self.mean:.2f} over the "
            f"last {self.window} labels, below {self.least:g})"
        )


def read_trust(project: Project) -> Trust:
    """The current trust in the model in use and its predecessors.

    Comparisons with a worse model, which somebody had chosen or which was withdrawn, do not count.
    """
    models = project.ledger.sound_models()
    return _judged(project, models, project.ledger.count_uncertainty_checks(models))


def _judged(project: Project, models: Collection[int], labels: int | None = None) -> Trust:
    """The trust in these models; `labels` are those of `Trust`, by default only the latest."""
    window = project.settings.uncertainty_window
    worths = (check.worth for check in project.ledger.latest_uncertainty_checks(window, models))
    latest = tuple(worth for worth in worths if worth is not None)
    return Trust(latest, len(latest) if labels is None else labels, window, project.settings.min_correlation)


def proposals_by_uncertainty(project: Project, by_uncertainty: Proposals, instead: Proposals) -> Iterator[Proposal]:
    """The proposals by uncertainty; if it is not trusted, with a warning, or those of `instead` if the settings allow.

    Validation cases, and cases drawn at random for lack of scores, do not use uncertainty: their reason stays.
    """
    trust = _judged(project, project.ledger.sound_models())
    if trust.trusted:
        return by_uncertainty(project)
    if not project.settings.fallback:
        return (
            item if item.score is None else _with_addition(item, f"; but {trust}") for item in by_uncertainty(project)
        )
    validation = set(project.ledger.pool("validation"))
    return (
        item if item.image_id in validation else _with_addition(item, f", not by uncertainty: {trust}")
        for item in instead(project)
    )


def _with_addition(proposal: Proposal, addition: str) -> Proposal:
    return replace(proposal, reason=proposal.reason + addition)
