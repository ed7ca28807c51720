"""Strategies: which case an annotator gets next, as the host's clients ask for it.

A strategy only *proposes* cases, best first, each with the reason. `ask` does what all of them share: an annotator who
has not finished gets her own query back; the first proposal that nobody else holds is leased to her.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from activelabel.acquisition.uncertainty import MEASURES
from activelabel.server.annotator import annotator_of
from activelabel.server.project import Project
from activelabel.server.proposals import Proposal, highest_proposals, random_proposals, selective_proposals
from activelabel.server.readability import set_aside_unreadable
from activelabel.store.records import Lease

logger = logging.getLogger(__name__)


class ProjectStrategy(Strategy):
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
        """Lease the next case to whoever asks; `{}` when nothing is left that can be read.

        Others may have taken all that was proposed while there is more: then it proposes again, until nothing is new.
        """
        annotator, tried = annotator_of(request), set[str]()
        while True:
            tried_before = len(tried)
            lease = ask(self._project, annotator, self._name, self._readable(datastore, tried))
            if lease is not None:
                return answer(lease)
            if len(tried) == tried_before:
                return {}

    def _readable(self, datastore: Datastore, tried: set[str]) -> Iterator[Proposal]:
        """Proposals that were not `tried`, and that join it; what cannot be read is set aside instead."""
        for proposal in self.proposals():
            if proposal.image_id in tried:
                continue
            tried.add(proposal.image_id)
            scored = proposal.score is not None
            if not set_aside_unreadable(proposal.image_id, datastore, self._project.ledger, was_scored=scored):
                yield proposal


class RandomVolumes(ProjectStrategy):
    """True random: every case of the pool is equally likely."""

    summary = "Volumes at random: what every other strategy has to beat"

    def proposals(self) -> Iterator[Proposal]:
        """The whole pool in a random order that the seed fixes."""
        return random_proposals(self._project, "drawn at random from the pool")


class HighestScore(ProjectStrategy):
    """Volumes with the largest sum of a measure over all voxels, under the latest model."""

    measure: ClassVar[str]

    def proposals(self) -> Iterator[Proposal]:
        """Largest score first; before the first model, at random."""
        return highest_proposals(self._project, self.measure, "everything", "total")


class SelectiveScore(ProjectStrategy):
    """ma2024: volumes that are uncertain where the target seems to be, and volumes that are at decision boundaries."""

    measure: ClassVar[str]

    def proposals(self) -> Iterator[Proposal]:
        """The union of both lists, round by round; before the first model, at random."""
        return selective_proposals(self._project, self.measure)


SUMMARIES = {
    "variance": "predictions vary most between Monte Carlo repeats (rahimi2022, eq. 1; MC dropout in ma2024)",
    "entropy": "mean prediction has the largest entropy (chlebus2022, eq. 2)",
    "mutual_information": "Monte Carlo repeats disagree most, noise in the image left out (BALD)",
    "least_confidence": "most probable class is least probable",
    "margin": "two most probable classes are closest",
}


def _strategies() -> dict[str, type[ProjectStrategy]]:
    """Each measure plain and selective, and random."""
    kinds: dict[str, type[ProjectStrategy]] = {"random_volumes": RandomVolumes}
    for measure in MEASURES:
        said = SUMMARIES[measure]
        plain, selective = f"Volumes whose {said}", f"Volumes whose {said}, near targets or boundaries (ma2024, eq. 5)"
        kinds[measure] = type(measure, (HighestScore,), {"measure": measure, "summary": plain})
        name = f"selective_{measure}"
        kinds[name] = type(name, (SelectiveScore,), {"measure": measure, "summary": selective})
    return kinds


STRATEGIES = _strategies()


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
