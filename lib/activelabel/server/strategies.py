"""Strategies: which case an annotator gets next, as the host's clients ask for it.

A strategy only *proposes* cases, best first, each with the reason. `ask` does what all of them share: an annotator who
has not finished gets her own query back; the first proposal that nobody else holds is leased to her.
"""

import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from activelabel.acquisition.selection import shuffled, top_k
from activelabel.server.annotator import annotator_of
from activelabel.server.project import Project
from activelabel.store.records import Lease

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Proposal:
    """A case that a strategy would ask for, and why."""

    image_id: str
    reason: str
    score: float | None = None
    model_version: int | None = None


class ProjectStrategy(Strategy):  # type: ignore[misc]  # the host has no types
    """A strategy of this project: `proposals` is all that differs between them."""

    summary: ClassVar[str]

    def __init__(self, project: Project, name: str, description: str | None = None) -> None:
        super().__init__(description or self.summary)
        self._project = project
        self._name = name

    def proposals(self) -> Iterator[Proposal]:
        """Cases to ask for, best first. None is leased or annotated when it is proposed."""
        raise NotImplementedError

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Lease the next case to whoever asks; `{}` when nothing is left."""
        lease = ask(self._project, annotator_of(request), self._name, self.proposals())
        return answer(lease) if lease else {}


class RandomVolumes(ProjectStrategy):
    """True random: every case of the pool is equally likely."""

    summary = "Volumes at random: what every other strategy has to beat"

    def proposals(self) -> Iterator[Proposal]:
        """The whole pool in a random order that the seed fixes."""
        return random_proposals(self._project, "drawn at random from the pool")


class HighestScore(ProjectStrategy):
    """Volumes with the largest score under the latest model."""

    measure: ClassVar[str]
    region: ClassVar[str] = "everything"
    aggregation: ClassVar[str] = "total"

    def proposals(self) -> Iterator[Proposal]:
        """Largest score first; before the first model, at random."""
        model = self._project.ledger.latest_model()
        if model is None:
            return random_proposals(self._project, "no model yet: drawn at random")
        ranking = self._project.ledger.ranking(
            model.version, self.measure, self.region, self.aggregation, limit=CANDIDATES
        )
        if not ranking:
            return random_proposals(self._project, f"model {model.version} has not scored yet: drawn at random")
        return itertools.chain(
            validation_first(self._project),
            (
                Proposal(
                    image_id,
                    f"{self.measure} {ranking[image_id]:.4g} by model {model.version}, the largest of the cases left",
                    ranking[image_id],
                    model.version,
                )
                for image_id in top_k(ranking, len(ranking))
            ),
        )


class Variance(HighestScore):
    """rahimi2022: the variance of Monte Carlo repeats, summed over the volume."""

    summary = "Volumes whose predictions vary most between Monte Carlo repeats (rahimi2022, eq. 1)"
    measure = "variance"


STRATEGIES: dict[str, type[ProjectStrategy]] = {
    "random_volumes": RandomVolumes,
    "variance": Variance,
}

CANDIDATES = 16
"""Proposals read from the ledger at a time; others may take some of them at the same moment, hardly all."""


def build_strategies(project: Project) -> dict[str, Strategy]:
    """All strategies by name, and `random`, the only name that OHIF knows, as the recipe's own."""
    own = project.recipe.query.strategy
    built: dict[str, Strategy] = {name: kind(project, name) for name, kind in STRATEGIES.items()}
    built["random"] = STRATEGIES[own](
        project, own, f"The strategy of the recipe {project.recipe.name}, which is {own}, under the name OHIF asks for"
    )
    return built


def ask(project: Project, annotator: str, strategy: str, proposals: Iterable[Proposal]) -> Lease | None:
    """The annotator's unfinished query, or a new one from the first proposal that can be leased; None if none can."""
    held = project.ledger.active_lease(annotator)
    if held is not None:
        return held
    for proposal in proposals:
        lease = project.ledger.grant_lease(
            annotator,
            proposal.image_id,
            minutes=project.settings.lease_minutes,
            strategy=strategy,
            model_version=proposal.model_version,
            score=proposal.score,
            reason=proposal.reason,
        )
        if lease is not None:
            return lease
    return None


def answer(lease: Lease) -> dict[str, Any]:
    """A lease as the next-sample answer of DESIGN.md."""
    query = {"kind": "volume"} if lease.slices is None else {"kind": "slices", "slices": list(lease.slices)}
    return {
        "id": lease.image_id,
        "query": query,
        "score": lease.score,
        "strategy": lease.strategy,
        "model_version": lease.model_version,
        "reason": lease.reason,
        "expires": lease.expires_at.isoformat(),
    }


def random_proposals(project: Project, reason: str) -> Iterator[Proposal]:
    """The pool in a random order that the seed fixes, validation cases in turn with the others."""
    yield from validation_first(project)
    for image_id in shuffled(project.ledger.pool("training"), project.settings.seed):
        yield Proposal(image_id, reason)
    for image_id in shuffled(project.ledger.pool("validation"), project.settings.seed):
        yield Proposal(image_id, f"a validation case, never trained on: {reason}")


def validation_first(project: Project) -> Iterator[Proposal]:
    """The validation cases, whenever fewer of them than of the others have been asked for.

    So they take turns with training cases until all are annotated, and the first model can already be measured.
    """
    waiting = project.ledger.pool("validation")
    if not waiting:
        return
    progress = project.ledger.progress()
    validation_asked = progress.validation - len(waiting)
    training_asked = progress.annotated + progress.leased - validation_asked
    if validation_asked < training_asked:
        for image_id in shuffled(waiting, project.settings.seed):
            yield Proposal(image_id, "a validation case, chosen once and never trained on: it measures the model")
