"""Strategies that use features to ask for slices that are typical of all slices, or that cover them."""

from collections.abc import Callable, Iterator, Sequence, Set

import numpy as np
from numpy.typing import NDArray

from activelabel.acquisition.diversity import coreset
from activelabel.acquisition.slice_selection import SliceId
from activelabel.project.project import Project
from activelabel.strategies.proposal import Proposal, Proposals
from activelabel.strategies.slice_rounds import Chosen, rounds_of_slices
from activelabel.strategies.spread import seen_features, typiclust_rounds, volumes_learnt

Vectors = dict[SliceId, NDArray[np.float32]]


def coreset_slice_proposals(project: Project) -> Iterator[Proposal]:
    """Repeatedly the slice whose features are farthest from those of all slices learned or chosen so far."""

    def order(vectors: Vectors, learnt: Set[SliceId]) -> Iterator[SliceId]:
        chosen = set(learnt)
        while len(chosen) < len(vectors):
            farthest = coreset(vectors, project.recipe.query.round_size(of_slices=True), chosen)
            yield from farthest
            chosen.update(farthest)

    return _spread_slices(project, order, "the farthest from all that it has learnt from")


def typiclust_slice_proposals(project: Project) -> Iterator[Proposal]:
    """The most typical slice of each cluster of the features, one round of clusters after another."""

    def order(vectors: Vectors, learnt: Set[SliceId]) -> Iterator[SliceId]:
        size = project.recipe.query.round_size(of_slices=True)
        return typiclust_rounds(vectors, learnt, size, size, project.settings.seed)

    return _spread_slices(project, order, "the most typical of their clusters")


def _spread_slices(
    project: Project, order: Callable[[Vectors, Set[SliceId]], Iterator[SliceId]], why: str
) -> Iterator[Proposal]:
    """Rounds in `order`, which starts from the slices that the model has learned.

    Raises:
        NotRankedYet: there are no features of slices.
    """
    seen = seen_features(project, of_slices=True)
    vectors = {(image, index): row for image, rows in seen.features.items() for index, row in enumerate(rows)}
    learnt = project.ledger.slices_learnt(seen.model.version)
    wholly = volumes_learnt(project, seen.model) - {image for image, _ in learnt}
    learnt = {slice_ for slice_ in vectors if slice_ in learnt or slice_[0] in wholly}

    def reason(chosen: Sequence[Chosen]) -> str:
        unseen = f"model {seen.model.version} has no features of it: drawn at random"
        return f"{why}{seen.by}" if chosen[0].seen else unseen

    ordered = (Chosen(*slice_) for slice_ in order(vectors, learnt))
    return rounds_of_slices(project, ordered, seen.features.keys(), reason, seen.model.version)


STRATEGIES: dict[str, Proposals] = {
    "coreset_slices": coreset_slice_proposals,
    "typiclust_slices": typiclust_slice_proposals,
}
