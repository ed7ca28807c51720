"""Proposals of strategies, the error for a missing ranking, and the validation cases that are due."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from activelabel.acquisition.selection import shuffled
from activelabel.project.project import Project
from activelabel.store.records.images import Slices

CANDIDATES = 16
"""The number of cases read from the ledger at a time; others may lease some at the same moment, hardly all."""


@dataclass(frozen=True)
class Proposal:
    """A case, or slices of it, that a strategy would ask for, and the reason."""

    image_id: str
    reason: str
    score: float | None = None
    model_version: int | None = None
    slices: Slices = None
    strategy: str | None = None
    """The strategy that the query is recorded under, if not the one that was asked."""


Proposals = Callable[[Project], Iterator[Proposal]]
"""A function from a project to the cases that a strategy would ask for, best first."""


class NotRankedYet(Exception):
    """A strategy cannot rank the cases yet.

    The error is raised before the first proposal. `reason` says what is missing; the replacing proposals quote it.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def candidates(project: Project) -> int:
    """The number of cases to read so that at least `CANDIDATES` remain if some are passed over for an annotator."""
    return CANDIDATES + project.ledger.count_passed_over()


def validation_due(project: Project) -> Iterator[Proposal]:
    """The validation cases that are due: they alternate with others, and all are due before the start set is complete.

    So the whole validation set measures the first model, and no later round contains a case of it. If the start set is
    counted in slices, of which one query may have many, validation cases are the first queries. Validation cases among
    images that are added later alternate too.
    """
    waiting = project.ledger.pool("validation")
    if not waiting:
        return
    asked = project.ledger.asked_so_far()
    validation_asked = asked.validation - len(waiting)
    training_asked = asked.labelled + asked.leased - validation_asked
    if validation_asked < training_asked or _completes_start(project, asked.has_model, training_asked):
        for image_id in shuffled(waiting, project.settings.seed):
            yield Proposal(image_id, "a validation case, chosen once and never trained on: it measures the model")


def proposals_left(project: Project, proposals: Iterable[Proposal]) -> Iterator[Proposal]:
    """The proposals of the volumes that may be asked for now."""
    left = set(project.ledger.pool("training"))
    return (proposal for proposal in proposals if proposal.image_id in left)


def _completes_start(project: Project, has_model: bool, training_asked: int) -> bool:
    """Whether the next query for a training case may complete the start set."""
    if has_model:
        return False
    return project.recipe.query.starts_with_slices or training_asked + 1 >= project.thresholds.start
