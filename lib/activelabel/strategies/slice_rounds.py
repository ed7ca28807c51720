"""Rounds of slices: the slices of a round in one volume are one query, best first, with the reason.

Queries are asked for one by one. Each request computes the rounds again from a model's scores, which do not change in
between. Slices that were annotated or leased since are passed over.
"""

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from activelabel.acquisition.slice_selection import (
    SliceId,
    by_volume,
    in_rounds,
    random_slices,
    slice_values,
)
from activelabel.names import ScoreKind
from activelabel.project.project import Project
from activelabel.store.records.images import SlicesTaken
from activelabel.strategies.proposal import Proposal
from activelabel.strategies.ranking import ranking_model

Profiles = Mapping[str, Sequence[float]]
"""The scores of the slices of each image."""


@dataclass(frozen=True)
class Chosen:
    """A slice that a strategy would ask for.

    `what` names the score in the reason; `seen` is False if the choosing model has never seen the slice.
    """

    volume: str
    index: int
    score: float | None = None
    what: str = ""
    seen: bool = True


@dataclass(frozen=True)
class ScoredSlices:
    """One model's scores of slices: for each kind the profiles of all images, and the slices it learned from."""

    version: int
    profiles: Sequence[Profiles]
    learnt: Set[SliceId]

    def values(self, place: int = 0) -> dict[SliceId, float]:
        """The scores of the kind at this place, of all slices from which the model has not learned."""
        values = slice_values(self.profiles[place])
        return {slice_: values[slice_] for slice_ in values if slice_ not in self.learnt}


def ranked_slice_proposals(
    project: Project,
    kinds: Sequence[ScoreKind],
    order: Callable[[ScoredSlices], Iterator[Chosen]],
    how: str = "among the largest of the slices left",
) -> Iterator[Proposal]:
    """Rounds of the slices from which the model has not learned, in an `order` by scores of these kinds.

    `how` is added to the reason after the scores.

    Raises:
        NotRankedYet: no model has such scores.
    """
    model = ranking_model(project, kinds[0])
    profiles = [project.ledger.slice_scores(model.version, kind) for kind in kinds]
    scored = ScoredSlices(model.version, profiles, project.ledger.slices_learnt(model.version))

    def reason(chosen: Sequence[Chosen]) -> str:
        if not chosen[0].seen:
            return f"model {model.version} has scored no slices of it: drawn at random"
        largest = {item.what: item.score for item in sorted(chosen, key=lambda item: item.score or 0.0)}
        scores = [what if score is None else f"{what} {score:.4g}" for what, score in sorted(largest.items())]
        return f"{' and '.join(scores)} by model {model.version}, {how}{model.caveat}"

    return rounds_of_slices(project, order(scored), profiles[0].keys(), reason, model.version)


def rounds_of_slices(
    project: Project,
    chosen: Iterable[Chosen],
    seen: Collection[str],
    reason: Callable[[Sequence[Chosen]], str],
    model_version: int,
) -> Iterator[Proposal]:
    """Rounds of the slices that a model has chosen, then random slices of the images that it has not `seen`."""
    pool = project.ledger.slice_pool()
    unseen = {image_id: count for image_id, count in slice_counts(pool).items() if image_id not in seen}
    drawn = (Chosen(*slice_, seen=False) for slice_ in random_slices(unseen, project.settings.seed))
    size = project.recipe.query.round_size(of_slices=True)
    rounds = itertools.chain(in_rounds(chosen, size), in_rounds(drawn, size))
    return proposals_of_rounds(pool, rounds, reason, model_version)


def proposals_of_rounds(
    pool: Sequence[SlicesTaken],
    rounds: Iterable[Sequence[Chosen]],
    reason: Callable[[Sequence[Chosen]], str],
    model_version: int | None = None,
) -> Iterator[Proposal]:
    """The slices of each round that may be asked for now, one proposal per volume.

    `model_version` is the model that chose them; slices that were drawn unseen have no model.
    """
    taken = {image.image_id: image.taken for image in pool}
    for chosen in rounds:
        left = [item for item in chosen if item.volume in taken and item.index not in taken[item.volume]]
        for image_id, slices in by_volume((item.volume, item.index) for item in left).items():
            of_image = [item for item in left if item.volume == image_id]
            scores = [item.score for item in of_image if item.score is not None]
            version = model_version if of_image[0].seen else None
            yield Proposal(image_id, reason(of_image), max(scores, default=None), version, tuple(slices))


def slice_counts(pool: Sequence[SlicesTaken]) -> dict[str, int]:
    """The number of slices of each image of the pool, where it is known."""
    return {image.image_id: image.slice_count for image in pool if image.slice_count}
