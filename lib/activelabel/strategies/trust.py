"""Whether the uncertainty by which a project asks has been worth anything lately, and what is asked for if not."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from activelabel.project.project import Project
from activelabel.strategies.proposal import Proposal, Proposals


@dataclass(frozen=True)
class Trust:
    """How well the uncertainty of a model went with its errors, by the labels that came back.

    Attributes:
        latest: `Doubt.worth` of the `window` newest labels that have one, oldest first.
        labels: how many labels have one.
        window: how many labels are needed to judge.
        least: the smallest mean with which the uncertainty is trusted.
    """

    latest: tuple[float, ...]
    labels: int
    window: int
    least: float

    @property
    def mean(self) -> float | None:
        """Of `latest`; None where there is none."""
        return statistics.fmean(self.latest) if self.latest else None

    @property
    def trusted(self) -> bool:
        """Whether uncertainty may be gone by: also as long as too few labels have come back to say."""
        return self.mean is None or len(self.latest) < self.window or self.mean >= self.least

    def as_json(self) -> dict[str, Any]:
        """What `GET /info/` shows."""
        return {"last": list(self.latest), "mean": self.mean, "labels": self.labels, "trusted": self.trusted}

    def __str__(self) -> str:
        return (
            f"what the model doubts says little of where it is wrong (rank correlation {self.mean:.2f} over the last "
            f"{self.window} labels, below {self.least:g})"
        )


def read_trust(project: Project) -> Trust:
    """The trust in the model in use and in those that led to it, as the ledger has it now.

    Labels that were compared with a worse model, which somebody had put in use or which was withdrawn, do not count.
    """
    window, models = project.settings.doubt_window, project.ledger.sound_models()
    worths = (doubt.worth for doubt in project.ledger.latest_doubts(window, models))
    latest = tuple(worth for worth in worths if worth is not None)
    return Trust(latest, project.ledger.correlated_doubts(models), window, project.settings.min_doubt)


def proposals_by_uncertainty(project: Project, by_uncertainty: Proposals, instead: Proposals) -> Iterator[Proposal]:
    """What is asked for by uncertainty; where that has been worth nothing, with a warning, or `instead` if allowed.

    Validation cases, and what is drawn at random for want of scores, do not go by uncertainty: their reason stays.
    """
    trust = read_trust(project)
    if trust.trusted:
        return by_uncertainty(project)
    if not project.settings.fallback:
        return (item if item.score is None else _because(item, f"; but {trust}") for item in by_uncertainty(project))
    validation = set(project.ledger.pool("validation"))
    return (
        item if item.image_id in validation else _because(item, f", not by doubt: {trust}") for item in instead(project)
    )


def _because(proposal: Proposal, addition: str) -> Proposal:
    return replace(proposal, reason=proposal.reason + addition)
