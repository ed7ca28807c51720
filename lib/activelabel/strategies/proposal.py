"""What all strategies share: what a proposal is, when there is no ranking yet, and when a validation case is due."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from activelabel.acquisition.selection import shuffled
from activelabel.project.project import Project
from activelabel.store.records import Progress, Slices

CANDIDATES = 16
"""How many cases are read from the ledger at a time. Others may take some of them at the same moment, hardly all."""


@dataclass(frozen=True)
class Proposal:
    """A case, or slices of it, that a strategy would ask for, and why."""

    image_id: str
    reason: str
    score: float | None = None
    model_version: int | None = None
    slices: Slices = None


Proposals = Callable[[Project], Iterator[Proposal]]
"""From a project to the cases that a strategy would ask for, best first."""


class NotRankedYet(Exception):
    """A strategy cannot rank the cases yet.

    It is raised before the first proposal. `reason` says what is missing, as the proposals that take its place say.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def candidates(project: Project) -> int:
    """How many to read, so that `CANDIDATES` are left if all that may be passed over for somebody are among them."""
    return CANDIDATES + project.ledger.count_passed_over()


def validation_due(project: Project) -> Iterator[Proposal]:
    """The validation cases, in turn with the others, and all of them before the start set is complete.

    The first model is therefore measured by the whole set, and no later round contains any of it. Where the start set
    is counted in slices, of which one query may have many, validation cases are the first queries. Those that become
    known late, because images were added, take turns.
    """
    waiting = project.ledger.pool("validation")
    if not waiting:
        return
    progress = project.ledger.progress()
    validation_asked = progress.validation - len(waiting)
    training_asked = progress.annotated + progress.partly_annotated + progress.leased - validation_asked
    if validation_asked < training_asked or _completes_start(project, progress, training_asked):
        for image_id in shuffled(waiting, project.settings.seed):
            yield Proposal(image_id, "a validation case, chosen once and never trained on: it measures the model")


def proposals_left(project: Project, proposals: Iterable[Proposal]) -> Iterator[Proposal]:
    """The proposals of volumes that may be asked for now."""
    left = set(project.ledger.pool("training"))
    return (proposal for proposal in proposals if proposal.image_id in left)


def _completes_start(project: Project, progress: Progress, training_asked: int) -> bool:
    """Whether the next query for a training case may complete the start set."""
    if progress.latest_model is not None:
        return False
    return project.recipe.query.starts_with_slices or training_asked + 1 >= project.thresholds.start
