"""The model that ranks the cases left, and its scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from activelabel.names import ScoreKind
from activelabel.project.project import Project
from activelabel.strategies.proposal import NotRankedYet, candidates

ALWAYS_SCORED = (ScoreKind("variance"), ScoreKind("entropy"))
"""Every model that has scored has given one of these; without Monte Carlo repeats only entropy."""


@dataclass(frozen=True)
class Ranking:
    """Scores of the cases left by one model version, best first.

    After a race the scores of cases that dropped out come last: they have fewer repeats. `caveat` is a phrase for the
    reason if the scores are not those of the model in use, or not complete.
    """

    model_version: int
    scores: Mapping[str, float]
    caveat: str = ""


@dataclass(frozen=True)
class RankingModel:
    """A model whose scores rank; `caveat` is a phrase if it is not in use or its scores are not complete."""

    version: int
    caveat: str = ""


@dataclass(frozen=True)
class ScoredCases:
    """All scores of some kinds by one model, from which each request computes the rounds again.

    They cover all cases that were left when the model was made, so the rounds stay the same while their queries are
    asked one by one; cases asked for since are passed over. A group in `groups` has the scores of one number of
    repeats, largest number first: one group without a race. A group has one mapping per kind.
    """

    version: int
    groups: Sequence[Sequence[Mapping[str, float]]]
    caveat: str = ""


def usable_model(project: Project, kind: ScoreKind) -> RankingModel | None:
    """The model whose scores of this kind can rank the cases left; None if there is none yet.

    While the model in use is still scoring, the one before it ranks: its scores are older, but they cover all cases.
    A model that was published and is not in use scores nothing and changes no ranking.
    """
    in_use = None
    for version in project.asking_versions():
        in_use = version if in_use is None else in_use
        if project.ledger.has_scores(version, kind) and project.has_scored_all(version, kind):
            caveat = "" if version == in_use else f", while model {in_use} is still scoring"
            return RankingModel(version, caveat)
    if in_use is not None and project.ledger.has_scores(in_use, kind):
        return RankingModel(in_use, ", as far as they are scored")
    return None


def ranking_model(project: Project, kind: ScoreKind) -> RankingModel:
    """The model whose scores of this kind rank the cases left, as found by `usable_model`.

    Raises:
        NotRankedYet: no model has such scores.
    """
    model = usable_model(project, kind)
    if model is None:
        raise NotRankedYet(f"{_what_is_missing(project, kind)}: drawn at random")
    return model


def current_ranking(project: Project, kind: ScoreKind) -> Ranking:
    """The ranking of the cases left by the model in use, or by the one before it.

    Raises:
        NotRankedYet: no model has such scores, or no case left has one.
    """
    model = ranking_model(project, kind)
    scores = project.ledger.ranking(model.version, kind, limit=candidates(project))
    if not scores:
        raise NotRankedYet(f"model {model.version} has scored none of the cases left: drawn at random")
    return Ranking(model.version, scores, model.caveat)


def scored_cases(project: Project, kinds: Sequence[ScoreKind]) -> ScoredCases:
    """The scores of the cases by the model in use, or by the one before it.

    Raises:
        NotRankedYet: no model has such scores, or no case left has one.
    """
    model = ranking_model(project, kinds[0])
    repeats = project.ledger.score_repeats(model.version, kinds[0])
    if repeats.keys().isdisjoint(project.ledger.pool("training")):
        raise NotRankedYet(f"model {model.version} has scored none of the cases left: drawn at random")
    scores = [project.ledger.volume_scores(model.version, kind) for kind in kinds]
    groups = [
        [{image_id: of_kind[image_id] for image_id in of_kind if repeats.get(image_id) == count} for of_kind in scores]
        for count in sorted(set(repeats.values()), reverse=True)
    ]
    return ScoredCases(model.version, groups, model.caveat)


def noise_key(project: Project, version: int, what: str) -> str:
    """The key of the noise besides the image: the seed, the model, and the scores that get noise."""
    return f"{project.settings.seed}:{version}:{what}"


def models_before(project: Project, version: int) -> int:
    """The number of models of the task published before this one, including withdrawn models."""
    return sum(model.version < version for model in project.ledger.models())


def _what_is_missing(project: Project, kind: ScoreKind) -> str:
    in_use = next(project.asking_versions(), None)
    if in_use is None:
        return "no model yet"
    if any(project.ledger.has_scores(in_use, always) for always in ALWAYS_SCORED):
        return f"model {in_use} has scored before there were such scores ({kind.measure}, {kind.region})"
    return f"model {in_use} has not scored yet"
