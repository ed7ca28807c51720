"""Which cases a strategy would ask for, best first, each with its reason. Nothing is promised to anyone here."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from activelabel.acquisition.selection import Id, Source, selective_sources
from activelabel.project.project import Project, ScoreKind
from activelabel.strategies.at_random import Proposal, candidates, proposals_left, validation_due
from activelabel.strategies.by_proxy import first_volumes

ALWAYS_SCORED: Sequence[ScoreKind] = (("variance", "everything", "total"), ("entropy", "everything", "total"))
"""Of these kinds of score models of all times have given one: the second too where there were no repeats."""


@dataclass(frozen=True)
class Ranking:
    """Scores of the cases left by one model version, best first, and what is to be said of them.

    After a race the scores of those that dropped out come last: they are of fewer repeats. `caveat` is a phrase where
    the scores are not those of the model in use, or not complete.
    """

    model_version: int
    scores: Mapping[str, float]
    caveat: str = ""


@dataclass(frozen=True)
class RankingModel:
    """The version of a model whose scores rank, and a phrase where it is not in use or its scores not complete."""

    version: int
    caveat: str = ""


def highest_proposals(project: Project, measure: str, region: str, aggregation: str) -> Iterator[Proposal]:
    """Largest score first; without a model, or while its first scores are missing, as the recipe starts."""
    ranking = current_ranking(project, measure, region, aggregation)
    if isinstance(ranking, str):
        return first_volumes(project, ranking)
    among = _raced(project, ranking.model_version, (measure, region, aggregation))
    return itertools.chain(
        validation_due(project),
        (
            Proposal(
                image_id,
                f"{measure.replace('_', ' ')} {score:.4g} by model {ranking.model_version}, "
                f"the largest of the cases left{among.get(image_id, '')}{ranking.caveat}",
                score,
                ranking.model_version,
            )
            for image_id, score in ranking.scores.items()
        ),
    )


def selective_proposals(project: Project, measure: str) -> Iterator[Proposal]:
    """ma2024, eq. 5: half of a round's queries from the sums over the target, half from those over the boundary."""
    scored = scored_cases(project, [(measure, region, "total") for region in ("target", "boundary")])
    if isinstance(scored, str):
        return first_volumes(project, scored)

    size = project.recipe.query.round_size(of_slices=False)

    def proposals() -> Iterator[Proposal]:
        for target, boundary in scored.groups:
            scores = {"target": target, "boundary": boundary}
            for image_id, source in selective_rounds(target, boundary, size):
                score = scores[source][image_id]
                said = f"{measure.replace('_', ' ')} over the {source} {score:.4g} by model {scored.version}"
                reason = f"{said}, next in the {source} list{scored.caveat}"
                yield Proposal(image_id, reason, score, scored.version)

    return proposals_left(project, proposals())


def selective_rounds(
    target: Mapping[Id, float], boundary: Mapping[Id, float], size: int
) -> Iterator[tuple[Id, Source]]:
    """Every id once: the `selective_union` of `size`, then that of what it left, and so on.

    Within a round target and boundary take turns, so that whoever stops early has some of both.
    """
    target, boundary = dict(target), dict(boundary)
    while target or boundary:
        chosen = selective_sources(target, boundary, size)
        by_source = [[pair for pair in chosen if pair[1] == source] for source in ("target", "boundary")]
        for pair in itertools.chain.from_iterable(itertools.zip_longest(*by_source)):
            if pair is not None:
                yield pair
        for image_id, _ in chosen:
            target.pop(image_id, None)
            boundary.pop(image_id, None)


@dataclass(frozen=True)
class ScoredCases:
    """All scores of some kinds by one model: what rounds are laid out from anew each time that a query is asked for.

    They cover all cases that were left when the model was made, so the rounds do not change while its queries are asked
    for one by one; what was asked for since is passed over. Each of `groups` has the scores of as many repeats, those
    with most first: one group where there was no race. In a group is a mapping for each kind.
    """

    version: int
    groups: Sequence[Sequence[Mapping[str, float]]]
    caveat: str = ""


def scored_cases(project: Project, kinds: Sequence[ScoreKind]) -> ScoredCases | str:
    """The scores of the cases by the model in use, or by the one before it; where none of a case left, the reason."""
    model = ranking_model(project, kinds[0])
    if isinstance(model, str):
        return model
    repeats = project.ledger.score_repeats(model.version, *kinds[0])
    if repeats.keys().isdisjoint(project.ledger.pool("training")):
        return f"model {model.version} has scored none of the cases left: drawn at random"
    scores = [project.ledger.volume_scores(model.version, *kind) for kind in kinds]
    groups = [
        [{image_id: of_kind[image_id] for image_id in of_kind if repeats.get(image_id) == count} for of_kind in scores]
        for count in sorted(set(repeats.values()), reverse=True)
    ]
    return ScoredCases(model.version, groups, model.caveat)


def noise_key(project: Project, version: int, what: str) -> str:
    """What noise depends on beside the image: the seed, the model, and what is noised."""
    return f"{project.settings.seed}:{version}:{what}"


def models_before(project: Project, version: int) -> int:
    """How many models of the task were published before this one: withdrawn ones too, proxy models not."""
    return sum(model.version < version for model in project.ledger.models())


def current_ranking(project: Project, measure: str, region: str, aggregation: str) -> Ranking | str:
    """The cases left as the model in use ranks them; where there is no ranking yet, the reason.

    While a new one is still scoring, the one before it is asked: its scores are older, but they cover all cases.
    A model that was published and is not in use scores nothing and changes no ranking.
    """
    kind = (measure, region, aggregation)
    model = ranking_model(project, kind)
    if isinstance(model, str):
        return model
    ranking = project.ledger.ranking(model.version, *kind, limit=candidates(project))
    if not ranking:
        return f"model {model.version} has scored none of the cases left: drawn at random"
    return Ranking(model.version, ranking, model.caveat)


def ranking_model(project: Project, kind: ScoreKind) -> RankingModel | str:
    """The model by whose scores of this kind the cases left are ranked; where there are no scores yet, the reason."""
    models = project.asking_models()
    if not models:
        return "no model yet: drawn at random"
    in_use = models[0].version
    for model in models:
        if project.ledger.has_scores(model.version, *kind) and project.has_scored_all(model.version, kind):
            return RankingModel(model.version, _caveat(model.version, in_use))
    if project.ledger.has_scores(in_use, *kind):
        return RankingModel(in_use, ", as far as they are scored")
    if any(project.ledger.has_scores(in_use, *always) for always in ALWAYS_SCORED):
        return f"model {in_use} has scored before there were such scores ({kind[0]}, {kind[1]}): drawn at random"
    return f"model {in_use} has not scored yet: drawn at random"


def _raced(project: Project, version: int, kind: ScoreKind) -> dict[str, str]:
    """After a race, a phrase for each case that says with which others it is compared: those of as many repeats."""
    repeats = project.ledger.score_repeats(version, *kind) if project.recipe.prediction.racing else {}
    most = max(repeats.values(), default=0)
    if most == min(repeats.values(), default=0):
        return {}
    phrases = {count: f" that dropped out of the race after {count} repeats" for count in repeats.values()}
    phrases[most] = f" that had all {most} repeats"
    return {image_id: phrases[count] for image_id, count in repeats.items()}


def _caveat(used: int, in_use: int) -> str:
    return "" if used == in_use else f", while model {in_use} is still scoring"
