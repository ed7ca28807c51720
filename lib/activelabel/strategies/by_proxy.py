"""The strategy that asks for the cases of which the proxy model is least certain, for the start set or in all rounds.

Scores of a proxy model do not change, so each request computes the same order again; cases asked for since are passed
over.
"""

import itertools
from collections.abc import Iterator

from activelabel.project.models.proxy import rank_kind
from activelabel.project.project import Project
from activelabel.strategies.proposal import NotRankedYet, Proposal, Proposals, candidates

NO_PSEUDO_LABEL = "it has no pseudo-label, so that the proxy model knows nothing of it: asked for last"


def proxy_rank_proposals(project: Project) -> Iterator[Proposal]:
    """nath2022, 3.1: the volumes left, in the order of the proxy model's uncertainty; without pseudo-label last.

    Raises:
        NotRankedYet: there is no proxy model, or it has no scores.
    """
    model, settings = project.ledger.model_in_use("proxy"), project.recipe.proxy
    if model is None or settings is None:
        raise NotRankedYet("no proxy model yet: drawn at random")
    kind = rank_kind(settings)
    ranking = project.ledger.ranking(model.version, kind, limit=candidates(project))
    if not ranking:
        raise NotRankedYet(f"proxy model {model.version} has not scored yet: drawn at random")
    repeats = project.ledger.score_repeats(model.version, kind)
    caveat = "" if project.has_scored_all(model.version, kind) else ", as far as they are scored"

    def proposal(image_id: str, score: float) -> Proposal:
        reason = f"mean {settings.measure} {score:.4g} by proxy model {model.version}, the largest of the cases left"
        return Proposal(image_id, f"{reason}{caveat}" if repeats[image_id] else NO_PSEUDO_LABEL, score, model.version)

    return itertools.starmap(proposal, ranking.items())


STRATEGIES: dict[str, Proposals] = {"proxy_rank": proxy_rank_proposals}
