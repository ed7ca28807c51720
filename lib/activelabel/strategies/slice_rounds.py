"""Which slices a strategy would ask for: those of one volume together, best first, each with the reason.

Queries are asked for one by one, so the rounds are laid out anew each time from what does not change in between: the
scores that a model gave. What was annotated or leased since is passed over.
"""

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from activelabel.acquisition.selection import Source, top_k
from activelabel.acquisition.slice_selection import (
    SliceId,
    by_volume,
    in_rounds,
    peaks_first,
    random_slices,
    slice_values,
    strided_slices,
)
from activelabel.project.project import Project, ScoreKind
from activelabel.store.records import SlicesTaken
from activelabel.strategies.at_random import Proposal, validation_due
from activelabel.strategies.by_proxy import first_volumes
from activelabel.strategies.by_score import ranking_model, selective_rounds

Profiles = Mapping[str, Sequence[float]]
"""Of each image the scores of its slices."""
_SOURCES: tuple[Source, Source] = ("target", "boundary")


@dataclass(frozen=True)
class Chosen:
    """A slice that a strategy would ask for, with its score if it has one, by what, and whether a model has seen it."""

    volume: str
    index: int
    score: float | None = None
    said: str = ""
    seen: bool = True


@dataclass(frozen=True)
class ScoredSlices:
    """By one model: of each kind of score the profiles of all images, and the slices that it has learnt from."""

    version: int
    profiles: Sequence[Profiles]
    learnt: Set[SliceId]

    def values(self, kind: int = 0) -> dict[SliceId, float]:
        """The scores of a kind of all slices that were not learnt."""
        values = slice_values(self.profiles[kind])
        return {slice_: values[slice_] for slice_ in values if slice_ not in self.learnt}


def random_slice_proposals(project: Project, reason: str, size: int) -> Iterator[Proposal]:
    """`size` slices a round, drawn at random from all slices of all volumes."""
    pool = project.ledger.slice_pool()
    drawn = (Chosen(*slice_) for slice_ in random_slices(_counts(pool), project.settings.seed))
    return proposals_of_rounds(project, pool, in_rounds(drawn, size), lambda _: reason)


def random_slices_left(project: Project, reason: str, size: int) -> Iterator[Proposal]:
    """Slices that may be asked for now, in the same random order, `size` of them at a time."""
    pool = project.ledger.slice_pool()
    taken = {image.image_id: image.taken for image in pool}
    drawn = random_slices(_counts(pool), project.settings.seed)
    left = (Chosen(volume, index) for volume, index in drawn if index not in taken[volume])
    return proposals_of_rounds(project, pool, in_rounds(left, size), lambda _: reason)


def random_slices_of_round(project: Project) -> Iterator[Proposal]:
    """As many of them as a round wants, or, before the first model, as a recipe starts with that begins with slices.

    Where a round is over when so many *with foreground* are annotated, no more are laid out at a time than are missing,
    so that, of one annotator, none is asked for in vain.
    """
    query, said = project.recipe.query, "drawn at random from all slices"
    if project.ledger.model_in_use() is None:
        size = query.start if query.starts_with_slices else query.round_size(of_slices=True)
        return random_slice_proposals(project, said, size)
    if not query.counts_foreground:
        return random_slice_proposals(project, said, query.round_size(of_slices=True))
    wanted = project.thresholds.retrain_after
    missing = wanted - project.ledger.new_foreground_slices()
    return random_slices_left(project, f"{said}, until {wanted} with foreground are annotated", max(missing, 1))


def strided_slice_proposals(project: Project, reason: str) -> Iterator[Proposal]:
    """Volumes at random, of each every n-th slice."""
    pool, stride = project.ledger.slice_pool(), project.recipe.query.slice_stride
    slices = [Chosen(*slice_) for slice_ in strided_slices(_counts(pool), stride, project.settings.seed)]
    return proposals_of_rounds(project, pool, [slices], lambda _: f"every slice in {stride} of a volume {reason}")


def start_proposals(project: Project, reason: str) -> Iterator[Proposal]:
    """What is asked for while there is no model that could tell: what the recipe starts with."""
    query = project.recipe.query
    match query.start_strategy:
        case "random_slices":
            return random_slice_proposals(project, reason, query.start)
        case "strided_slices":
            return strided_slice_proposals(project, reason)
        case "random_volumes":
            return first_volumes(project, reason)


def peak_proposals(project: Project) -> Iterator[Proposal]:
    """chlebus2022, II.E: the slices at the largest peaks of all profiles of mean entropy."""

    def order(scored: ScoredSlices) -> Iterator[Chosen]:
        for slice_, score in peaks_first(scored.profiles[0], project.recipe.query.min_slice_distance):
            if slice_ not in scored.learnt:
                yield Chosen(*slice_, score, "mean entropy")

    return ranked_slice_proposals(project, [("entropy", "everything", "mean")], order)


def highest_slice_proposals(project: Project, measure: str) -> Iterator[Proposal]:
    """The slices with the largest sums of a measure: ma2024's methods without its selection."""

    def order(scored: ScoredSlices) -> Iterator[Chosen]:
        scores = scored.values()
        for slice_ in top_k(scores, len(scores)):
            yield Chosen(*slice_, scores[slice_], measure.replace("_", " "))

    return ranked_slice_proposals(project, [(measure, "everything", "total")], order)


def selective_slice_proposals(project: Project, measure: str) -> Iterator[Proposal]:
    """ma2024, eq. 5, with slices as samples: half of a round by the sums over the target, half over the boundary."""

    def order(scored: ScoredSlices) -> Iterator[Chosen]:
        scores = {source: scored.values(kind) for kind, source in enumerate(_SOURCES)}
        size = project.recipe.query.round_size(of_slices=True)
        for slice_, source in selective_rounds(scores["target"], scores["boundary"], size):
            yield Chosen(*slice_, scores[source][slice_], f"{measure.replace('_', ' ')} over the {source}")

    return ranked_slice_proposals(project, [(measure, source, "total") for source in _SOURCES], order)


def ranked_slice_proposals(
    project: Project,
    kinds: Sequence[ScoreKind],
    order: Callable[[ScoredSlices], Iterator[Chosen]],
    how: str = "among the largest of the slices left",
) -> Iterator[Proposal]:
    """Rounds of the slices in an order that scores of these kinds give, those left out that the model has learnt.

    `how` is what the reason says of them beside their scores.
    """
    model = ranking_model(project, kinds[0])
    if isinstance(model, str):
        return start_proposals(project, model)
    profiles = [project.ledger.slice_scores(model.version, *kind) for kind in kinds]
    scored = ScoredSlices(model.version, profiles, project.ledger.slices_learnt(model.version))

    def reason(chosen: Sequence[Chosen]) -> str:
        if not chosen[0].seen:
            return f"model {model.version} has scored no slices of it: drawn at random"
        largest = {item.said: item.score for item in sorted(chosen, key=lambda item: item.score or 0.0)}
        scores = [said if score is None else f"{said} {score:.4g}" for said, score in sorted(largest.items())]
        return f"{' and '.join(scores)} by model {model.version}, {how}{model.caveat}"

    return rounds_of_slices(project, order(scored), profiles[0].keys(), reason, model.version)


def rounds_of_slices(
    project: Project,
    chosen: Iterable[Chosen],
    seen: Collection[str],
    reason: Callable[[Sequence[Chosen]], str],
    model_version: int,
) -> Iterator[Proposal]:
    """Rounds of what a model has chosen, and at the end, at random, the slices of images that are not `seen` by it."""
    pool = project.ledger.slice_pool()
    unseen = {image_id: count for image_id, count in _counts(pool).items() if image_id not in seen}
    drawn = (Chosen(*slice_, seen=False) for slice_ in random_slices(unseen, project.settings.seed))
    size = project.recipe.query.round_size(of_slices=True)
    rounds = itertools.chain(in_rounds(chosen, size), in_rounds(drawn, size))
    return proposals_of_rounds(project, pool, rounds, reason, model_version)


def proposals_of_rounds(
    project: Project,
    pool: Sequence[SlicesTaken],
    rounds: Iterable[Sequence[Chosen]],
    reason: Callable[[Sequence[Chosen]], str],
    model_version: int | None = None,
) -> Iterator[Proposal]:
    """Of each round the slices that may be asked for now, those of a volume in one proposal.

    `model_version` is that of who chose them; what was drawn unseen has no model.
    """
    yield from validation_due(project)
    taken = {image.image_id: image.taken for image in pool}
    for chosen in rounds:
        left = [item for item in chosen if item.volume in taken and item.index not in taken[item.volume]]
        for image_id, slices in by_volume((item.volume, item.index) for item in left).items():
            of_image = [item for item in left if item.volume == image_id]
            scores = [item.score for item in of_image if item.score is not None]
            version = model_version if of_image[0].seen else None
            yield Proposal(image_id, reason(of_image), max(scores, default=None), version, tuple(slices))


def _counts(pool: Sequence[SlicesTaken]) -> dict[str, int]:
    """How many slices the images of the pool have, as far as that is known."""
    return {image.image_id: image.slice_count for image in pool if image.slice_count}
