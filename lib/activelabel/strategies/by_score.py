"""Strategies that ask for the volumes or slices with the largest scores."""

import itertools
from collections.abc import Iterator, Mapping
from functools import partial

from activelabel.acquisition.selection import Id, Source, selective_sources, top_k
from activelabel.acquisition.slice_selection import peaks_first
from activelabel.names import MEASURE_NAMES, ScoreKind
from activelabel.project.project import Project
from activelabel.recipes.strategy_traits import raced_kind
from activelabel.strategies.proposal import Proposal, Proposals, proposals_left
from activelabel.strategies.ranking import current_ranking, scored_cases
from activelabel.strategies.slice_rounds import Chosen, ScoredSlices, ranked_slice_proposals

_SOURCES: tuple[Source, Source] = ("target", "boundary")


def highest_proposals(project: Project, kind: ScoreKind) -> Iterator[Proposal]:
    """The volumes in the order of one kind of score, largest first."""
    ranking = current_ranking(project, kind)
    in_the_race = _race_phrases(project, ranking.model_version, kind)
    return (
        Proposal(
            image_id,
            f"{_words(kind.measure)} {score:.4g} by model {ranking.model_version}, "
            f"the largest of the cases left{in_the_race.get(image_id, '')}{ranking.caveat}",
            score,
            ranking.model_version,
        )
        for image_id, score in ranking.scores.items()
    )


def selective_proposals(project: Project, measure: str) -> Iterator[Proposal]:
    """ma2024, eq. 5: half of a round's queries from the sums over the target, half from those over the boundary."""
    scored = scored_cases(project, [ScoreKind(measure, source) for source in _SOURCES])
    size = project.recipe.query.round_size(of_slices=False)

    def proposals() -> Iterator[Proposal]:
        for target, boundary in scored.groups:
            scores = {"target": target, "boundary": boundary}
            for image_id, source in selective_rounds(target, boundary, size):
                score = scores[source][image_id]
                ranked_by = f"{_words(measure)} over the {source} {score:.4g} by model {scored.version}"
                reason = f"{ranked_by}, next in the {source} list{scored.caveat}"
                yield Proposal(image_id, reason, score, scored.version)

    return proposals_left(project, proposals())


def selective_rounds(
    target: Mapping[Id, float], boundary: Mapping[Id, float], size: int
) -> Iterator[tuple[Id, Source]]:
    """Every id once: the `selective_union` of `size` ids, then that of the remaining ids, and so on.

    Within a round target and boundary take turns, so that a round that ends early has some of both.
    """
    target, boundary = dict(target), dict(boundary)
    while target or boundary:
        chosen = selective_sources(target, boundary, size)
        by_source = [[pair for pair in chosen if pair[1] == source] for source in _SOURCES]
        for pair in itertools.chain.from_iterable(itertools.zip_longest(*by_source)):
            if pair is not None:
                yield pair
        for image_id, _ in chosen:
            target.pop(image_id, None)
            boundary.pop(image_id, None)


def peak_proposals(project: Project) -> Iterator[Proposal]:
    """chlebus2022, II.E: the slices at the largest peaks of all profiles of mean entropy."""

    def order(scored: ScoredSlices) -> Iterator[Chosen]:
        for slice_, score in peaks_first(scored.profiles[0], project.recipe.query.min_slice_distance):
            if slice_ not in scored.learnt:
                yield Chosen(*slice_, score, "mean entropy")

    return ranked_slice_proposals(project, [ScoreKind("entropy", aggregation="mean")], order)


def highest_slice_proposals(project: Project, measure: str) -> Iterator[Proposal]:
    """The slices with the largest sums of a measure: ma2024's methods without its selection."""

    def order(scored: ScoredSlices) -> Iterator[Chosen]:
        scores = scored.values()
        for slice_ in top_k(scores, len(scores)):
            yield Chosen(*slice_, scores[slice_], _words(measure))

    return ranked_slice_proposals(project, [ScoreKind(measure)], order)


def selective_slice_proposals(project: Project, measure: str) -> Iterator[Proposal]:
    """ma2024, eq. 5, with slices as samples: half of a round by the sums over the target, half over the boundary."""

    def order(scored: ScoredSlices) -> Iterator[Chosen]:
        scores = {source: scored.values(place) for place, source in enumerate(_SOURCES)}
        size = project.recipe.query.round_size(of_slices=True)
        for slice_, source in selective_rounds(scores["target"], scores["boundary"], size):
            yield Chosen(*slice_, scores[source][slice_], f"{_words(measure)} over the {source}")

    return ranked_slice_proposals(project, [ScoreKind(measure, source) for source in _SOURCES], order)


def _race_phrases(project: Project, version: int, kind: ScoreKind) -> dict[str, str]:
    """After a race, a phrase for each case that gives the repeats of its score: only equal repeats are compared.

    Without a race, or where all have equally many, there is nothing to say.
    """
    repeats = project.ledger.score_repeats(version, kind) if project.recipe.prediction.racing else {}
    most = max(repeats.values(), default=0)
    if most == min(repeats.values(), default=0):
        return {}
    phrases = {count: f" that dropped out of the race after {count} repeats" for count in repeats.values()}
    phrases[most] = f" that had all {most} repeats"
    return {image_id: phrases[count] for image_id, count in repeats.items()}


def _words(measure: str) -> str:
    return measure.replace("_", " ")


_BY_ONE_SCORE = (
    *("uncertainty_volumes", "mean_variance", "mean_entropy"),
    *MEASURE_NAMES,
    *(f"object_{measure}" for measure in MEASURE_NAMES),
)

STRATEGIES: dict[str, Proposals] = {
    **{name: partial(highest_proposals, kind=raced_kind(name)) for name in _BY_ONE_SCORE},
    **{f"selective_{measure}": partial(selective_proposals, measure=measure) for measure in MEASURE_NAMES},
    "uncertainty_slices": peak_proposals,
    **{f"{measure}_slices": partial(highest_slice_proposals, measure=measure) for measure in MEASURE_NAMES},
    **{f"selective_{measure}_slices": partial(selective_slice_proposals, measure=measure) for measure in MEASURE_NAMES},
}
