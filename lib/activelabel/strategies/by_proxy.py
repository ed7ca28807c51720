"""What is asked for by the proxy model: the cold starts of a pool without a label, and proxy ranking in all rounds.

Scores of a proxy model do not change, so the order is laid out anew each time from the same numbers; what was asked for
since is passed over.
"""

import itertools
from collections.abc import Iterator

from activelabel.project.project import Project
from activelabel.project.proxy_model import rank_kind
from activelabel.strategies.at_random import Proposal, candidates, random_proposals, validation_due
from activelabel.strategies.spread import coreset_proposals, typiclust_proposals

NO_PSEUDO_LABEL = "it has no pseudo-label, so that the proxy model knows nothing of it: asked for last"


def proxy_rank_proposals(project: Project) -> Iterator[Proposal]:
    """nath2022, 3.1: the volumes left of which the proxy model is least certain first, those without pseudo-label last.

    At random before the proxy model has scored.
    """
    model, settings = project.ledger.model_in_use("proxy"), project.recipe.proxy
    if model is None or settings is None:
        return random_proposals(project, "no proxy model yet: drawn at random")
    kind = rank_kind(settings)
    ranking = project.ledger.ranking(model.version, *kind, limit=candidates(project))
    if not ranking:
        return random_proposals(project, f"proxy model {model.version} has not scored yet: drawn at random")
    repeats = project.ledger.score_repeats(model.version, *kind)
    caveat = "" if project.has_scored_all(model.version, kind) else ", as far as they are scored"

    def proposal(image_id: str, score: float) -> Proposal:
        said = f"mean {settings.measure} {score:.4g} by proxy model {model.version}, the largest of the cases left"
        return Proposal(image_id, f"{said}{caveat}" if repeats[image_id] else NO_PSEUDO_LABEL, score, model.version)

    return itertools.chain(validation_due(project), itertools.starmap(proposal, ranking.items()))


def first_volumes(project: Project, reason: str) -> Iterator[Proposal]:
    """Whole volumes, while there is no model that could tell: the recipe's cold start, or at random for `reason`."""
    settings = project.recipe.proxy
    match settings.cold_start if settings is not None else "none":
        case "proxy_rank":
            return proxy_rank_proposals(project)
        case "typiclust":
            return typiclust_proposals(project)
        case "coreset":
            return coreset_proposals(project)
        case "none":
            return random_proposals(project, reason)
