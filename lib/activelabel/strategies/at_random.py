"""What a proposal is, the pool at random, and when a validation case is due: what all strategies share."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from activelabel.acquisition.selection import shuffled
from activelabel.project.project import Project
from activelabel.store.records import Progress, Slices

CANDIDATES = 16
"""Cases read from the ledger at a time. Others may take some of them at the same moment, hardly all."""


def candidates(project: Project) -> int:
    """How many to read, so that `CANDIDATES` are left if all that may be passed over for somebody are among them."""
    return CANDIDATES + project.ledger.count_passed_over()


@dataclass(frozen=True)
class Proposal:
    """A case, or slices of it, that a strategy would ask for, and why."""

    image_id: str
    reason: str
    score: float | None = None
    model_version: int | None = None
    slices: Slices = None


Proposals = Callable[[Project], Iterator[Proposal]]
"""Cases to ask for, best first."""


def random_proposals(project: Project, reason: str) -> Iterator[Proposal]:
    """The pool in a random order that the seed fixes, validation cases in turn with the others."""
    yield from validation_due(project)
    for image_id in shuffled(project.ledger.pool("training"), project.settings.seed):
        yield Proposal(image_id, reason)
    for image_id in shuffled(project.ledger.pool("validation"), project.settings.seed):
        yield Proposal(image_id, f"a validation case, never trained on: {reason}")


def validation_due(project: Project) -> Iterator[Proposal]:
    """The validation cases, in turn with the others, and all of them before the start set is complete.

    So the first model is measured by the whole set, and no later round has any of it. Where the start set is counted in
    slices, of which a query may have many, validation cases are the first queries. Those that come late, as images
    were added since, take turns.
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


def _completes_start(project: Project, progress: Progress, training_asked: int) -> bool:
    """Whether the next query for a training case may complete the start set."""
    if progress.latest_model is not None:
        return False
    return project.recipe.query.starts_with_slices or training_asked + 1 >= project.thresholds.start


def proposals_left(project: Project, proposals: Iterable[Proposal]) -> Iterator[Proposal]:
    """Those volumes that may be asked for now, after the validation cases that are due."""
    left = set(project.ledger.pool("training"))
    return itertools.chain(validation_due(project), (item for item in proposals if item.image_id in left))
