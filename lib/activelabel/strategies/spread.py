"""Strategies that use features to ask for volumes that are typical of the pool, or that cover it.

Features of a model do not change, so each request computes the same order again; cases asked for since are passed
over.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Set
from dataclasses import dataclass

from numpy.typing import ArrayLike

from activelabel.acquisition.diversity import coreset, typiclust
from activelabel.acquisition.selection import Id, shuffled
from activelabel.project.models.features import Features, features_file, read_features
from activelabel.project.project import Project
from activelabel.store.records.models import ModelVersion
from activelabel.strategies.proposal import CANDIDATES, NotRankedYet, Proposal, Proposals


@dataclass(frozen=True)
class Seen:
    """Features of the training images, their model, and a phrase if this is not the model in use."""

    model: ModelVersion
    features: Features
    caveat: str = ""

    @property
    def by(self) -> str:
        """The last part of a reason, which names the model."""
        kind = "proxy model" if self.model.kind == "proxy" else "model"
        return f", by the features of {kind} {self.model.version}{self.caveat}"


def typiclust_proposals(project: Project) -> Iterator[Proposal]:
    """The most typical volume of each cluster of the features, one round of clusters after another.

    Volumes from which the model has learned count as chosen. A proxy model has learned from no annotation: its first
    round has as many clusters as the start set has cases.
    """

    def order(seen: Seen, left: Set[str]) -> Iterator[str]:
        query = project.recipe.query
        size = query.round_size(of_slices=False)
        first = query.start if seen.model.kind == "proxy" else size
        learnt = volumes_learnt(project, seen.model) & seen.features.keys()
        rounds = typiclust_rounds(seen.features, learnt, first, size, project.settings.seed)
        return (image_id for image_id in rounds if image_id in left)

    return _spread_proposals(project, order, "the most typical of its cluster")


def coreset_proposals(project: Project) -> Iterator[Proposal]:
    """Repeatedly the volume whose features are farthest from those of all volumes asked for so far."""

    def order(seen: Seen, left: Set[str]) -> Iterator[str]:
        asked = seen.features.keys() - left
        yield from coreset(seen.features, CANDIDATES, asked)

    return _spread_proposals(project, order, "the farthest from all that were asked for so far")


def typiclust_rounds(
    features: Mapping[Id, ArrayLike], learnt: Collection[Id], first: int, size: int, seed: int
) -> Iterator[Id]:
    """All ids not in `learnt`: `first` of them by `typiclust`, then repeatedly `size` of the rest."""
    remaining = dict(features)
    while len(remaining) > len(learnt):
        chosen = typiclust(remaining, first, seed, learnt)
        yield from chosen
        for id in chosen:
            del remaining[id]
        first = size


def seen_features(project: Project, of_slices: bool = False) -> Seen:
    """The features of the model in use, of the one before it, or of the proxy model.

    Raises:
        NotRankedYet: none of these has features.
    """
    models = project.asking_models()
    for model in models:
        features = read_features(features_file(project.features_folder, model.version, of_slices))
        if features:
            in_use = models[0].version
            return Seen(model, features, "" if model.version == in_use else f", while model {in_use} has none yet")
    proxy = project.ledger.model_in_use("proxy")
    if proxy is not None:
        features = read_features(features_file(project.features_folder, proxy.version, of_slices))
        if features:
            return Seen(proxy, features)
    if models:
        missing = f"model {models[0].version} has no features yet, for which its recipe must ask"
    elif proxy is not None:
        missing = f"proxy model {proxy.version} has no features yet"
    else:
        missing = "no proxy model yet" if project.recipe.proxy else "no model yet"
    raise NotRankedYet(f"{missing}: drawn at random")


def volumes_learnt(project: Project, model: ModelVersion) -> set[str]:
    """The images, or those with slices, from which a model has learned and that are still annotated."""
    learnt = set(model.trained_on)
    return {annotation.image_id for annotation in project.ledger.labels_to_learn() if annotation.id in learnt}


def _spread_proposals(
    project: Project, order: Callable[[Seen, Set[str]], Iterator[str]], why: str
) -> Iterator[Proposal]:
    """The cases left that have features, in `order`; all cases left at random if none has features.

    Raises:
        NotRankedYet: there are no features, or no case to train on is left.
    """
    seen = seen_features(project)
    left = set(project.ledger.pool("training"))
    if not left:
        raise NotRankedYet("no case to train on is left")
    if left.isdisjoint(seen.features):
        without = f"{seen.by.removeprefix(', by the features of ')} has no features of it: asked for last"
        return (Proposal(image_id, without) for image_id in shuffled(left, project.settings.seed))
    version = seen.model.version
    return (Proposal(image_id, why + seen.by, model_version=version) for image_id in order(seen, left))


STRATEGIES: dict[str, Proposals] = {"coreset": coreset_proposals, "typiclust": typiclust_proposals}
