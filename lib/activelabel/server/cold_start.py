"""What is asked for by the proxy model: the cold starts of a pool without a label, and proxy ranking in all rounds.

Features and scores of a proxy model do not change, so the order is laid out anew each time from the same numbers; what
was asked for since is passed over.
"""

import itertools
from collections.abc import Callable, Iterator

from activelabel.acquisition.diversity import coreset, typiclust
from activelabel.acquisition.selection import shuffled
from activelabel.server.feature_files import Features, features_file, read_features
from activelabel.server.project import Project
from activelabel.server.proxy_model import rank_kind
from activelabel.server.random_proposals import CANDIDATES, Proposal, random_proposals, validation_due
from activelabel.store.records import ModelVersion

NO_PSEUDO_LABEL = "it has no pseudo-label, so that the proxy model knows nothing of it: asked for last"


def proxy_rank_proposals(project: Project) -> Iterator[Proposal]:
    """nath2022, 3.1: the volumes left of which the proxy model is least certain first, those without pseudo-label last.

    At random before the proxy model has scored.
    """
    model, settings = project.ledger.latest_model("proxy"), project.recipe.proxy
    if model is None or settings is None:
        return random_proposals(project, "no proxy model yet: drawn at random")
    kind = rank_kind(settings)
    ranking = project.ledger.ranking(model.version, *kind, limit=CANDIDATES)
    if not ranking:
        return random_proposals(project, f"proxy model {model.version} has not scored yet: drawn at random")
    repeats = project.ledger.score_repeats(model.version, *kind)
    caveat = "" if project.has_scored_all(model.version, kind) else ", as far as they are scored"

    def proposal(image_id: str, score: float) -> Proposal:
        said = f"mean {settings.measure} {score:.4g} by proxy model {model.version}, the largest of the cases left"
        return Proposal(image_id, f"{said}{caveat}" if repeats[image_id] else NO_PSEUDO_LABEL, score, model.version)

    return itertools.chain(validation_due(project), itertools.starmap(proposal, ranking.items()))


def typiclust_proposals(project: Project) -> Iterator[Proposal]:
    """The most typical volume of each cluster of the proxy model's features, a round of clusters after the other.

    The first round has as many clusters as there are cases to start with.
    """

    def order(features: Features, left: set[str]) -> Iterator[str]:
        remaining, size = dict(features), project.recipe.query.start
        while remaining:
            chosen = typiclust(remaining, size, project.settings.seed)
            yield from (image_id for image_id in chosen if image_id in left)
            for image_id in chosen:
                del remaining[image_id]
            size = project.recipe.query.size

    return _spread_proposals(project, order, "the most typical of its cluster")


def coreset_proposals(project: Project) -> Iterator[Proposal]:
    """Again and again the volume whose features are farthest from those of all that were asked for so far."""

    def order(features: Features, left: set[str]) -> Iterator[str]:
        asked = features.keys() - left
        yield from coreset(features, CANDIDATES, asked)

    return _spread_proposals(project, order, "the farthest from all that were asked for so far")


def _spread_proposals(
    project: Project, order: Callable[[Features, set[str]], Iterator[str]], said: str
) -> Iterator[Proposal]:
    """`order` of the cases left that have features, those without at the end; at random before there are features."""
    model = project.ledger.latest_model("proxy")
    if model is None:
        return random_proposals(project, "no proxy model yet: drawn at random")
    features = read_features(features_file(project.features_folder, model.version))
    if not features:
        return random_proposals(project, f"proxy model {model.version} has no features yet: drawn at random")
    left = set(project.ledger.pool("training"))
    if not left:
        return random_proposals(project, "no case to train on is left")
    if left.isdisjoint(features):
        return itertools.chain(validation_due(project), _without_features(project, left, model))
    reason = f"{said}, by the features of proxy model {model.version}"
    return itertools.chain(
        validation_due(project),
        (Proposal(image_id, reason, model_version=model.version) for image_id in order(features, left)),
    )


def _without_features(project: Project, image_ids: set[str], model: ModelVersion) -> Iterator[Proposal]:
    for image_id in shuffled(sorted(image_ids), project.settings.seed):
        yield Proposal(image_id, f"proxy model {model.version} has no features of it: asked for last")


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
