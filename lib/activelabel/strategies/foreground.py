"""Foreground-aware random sampling: the baseline that active learning in 3D hardly beats.

The foreground is a model's prediction. nnActive, the source of the method, takes it from the ground truth, which a
project does not have.
"""

from collections.abc import Iterator, Set

from activelabel.acquisition.foreground_share import foreground_aware
from activelabel.acquisition.selection import shuffled
from activelabel.names import ScoreKind
from activelabel.project.project import Project
from activelabel.strategies.proposal import NotRankedYet, Proposal, Proposals
from activelabel.strategies.ranking import RankingModel, noise_key, ranking_model, usable_model
from activelabel.strategies.slice_rounds import Chosen, ScoredSlices, ranked_slice_proposals

FOREGROUND = ScoreKind("foreground")
"""The number of voxels predicted as foreground."""


def foreground_random_proposals(project: Project) -> Iterator[Proposal]:
    """Volumes at random, 66 % of them with probabilities in proportion to their predicted foreground.

    This probability is that of a random foreground voxel of the pool to lie in the volume. It carries nnActive's
    patches around such voxels over to whole volumes. Before a model of the task has scored, the proxy model's
    prediction is used, if it has scored.

    Raises:
        NotRankedYet: no model has scored the foreground, or no case to train on is left.
    """
    model = foreground_model(project)
    left = set(project.ledger.pool("training"))
    if not left:
        raise NotRankedYet("no case to train on is left")
    return _foreground_volumes(project, model, left)


def foreground_random_slice_proposals(project: Project) -> Iterator[Proposal]:
    """Slices at random, 66 % of them among those in which the model predicts foreground.

    If the recipe starts with volumes, `foreground_random_proposals` draws these before a model of the task has
    scored.

    Raises:
        NotRankedYet: no model has scored the foreground.
    """
    if usable_model(project, FOREGROUND) is None and not project.recipe.query.starts_with_slices:
        return foreground_random_proposals(project)

    def order(scored: ScoredSlices) -> Iterator[Chosen]:
        voxels = scored.values()
        some = {slice_: float(size > 0) for slice_, size in voxels.items()}
        for slice_, for_foreground in foreground_aware(some, noise_key(project, scored.version, "foreground")):
            if for_foreground:
                yield Chosen(*slice_, voxels[slice_], "voxels of foreground, up to")
            else:
                yield Chosen(*slice_, None, "any slice")

    return ranked_slice_proposals(project, [FOREGROUND], order, "at random, two thirds among those with foreground")


def _foreground_volumes(project: Project, model: RankingModel, left: Set[str]) -> Iterator[Proposal]:
    foreground = project.ledger.volume_scores(model.version, FOREGROUND)
    by = f"by {_named(project, model)}{model.caveat}"
    for image_id, for_foreground in foreground_aware(foreground, noise_key(project, model.version, "foreground")):
        if image_id not in left:
            continue
        if for_foreground:
            voxels = foreground[image_id]
            reason = f"{voxels:.0f} voxels of foreground {by}, drawn in proportion to them"
            yield Proposal(image_id, reason, voxels, model.version)
        else:
            yield Proposal(image_id, f"drawn from all cases, others for their foreground {by}", None, model.version)
    for image_id in shuffled(left - foreground.keys(), project.settings.seed):
        yield Proposal(image_id, f"no foreground is known {by}: drawn at random")


def foreground_model(project: Project) -> RankingModel:
    """The model whose predictions give the foreground: one of the task, else the proxy model.

    Raises:
        NotRankedYet: no model has scored the foreground.
    """
    model, proxy = usable_model(project, FOREGROUND), project.ledger.model_in_use("proxy")
    if model is None and proxy is not None and project.ledger.has_scores(proxy.version, FOREGROUND):
        return RankingModel(proxy.version)
    return model or ranking_model(project, FOREGROUND)


def _named(project: Project, model: RankingModel) -> str:
    kind = project.ledger.model(model.version).kind
    return f"{'proxy ' if kind == 'proxy' else ''}model {model.version}"


STRATEGIES: dict[str, Proposals] = {
    "foreground_random": foreground_random_proposals,
    "foreground_random_slices": foreground_random_slice_proposals,
}
