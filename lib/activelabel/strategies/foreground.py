"""Foreground-aware random from what a model predicts: the baseline that active learning in 3D hardly beats.

nnActive, where it comes from, takes the foreground from the ground truth, which nobody has.
"""

import itertools
from collections.abc import Iterator, Set

from activelabel.acquisition.foreground_share import foreground_aware
from activelabel.acquisition.selection import shuffled
from activelabel.project.project import Project, ScoreKind
from activelabel.strategies.at_random import Proposal, validation_due
from activelabel.strategies.by_proxy import first_volumes
from activelabel.strategies.by_score import RankingModel, noise_key, ranking_model
from activelabel.strategies.slice_rounds import Chosen, ScoredSlices, ranked_slice_proposals

FOREGROUND: ScoreKind = ("foreground", "everything", "total")
"""How many voxels are predicted as foreground."""


def foreground_random_proposals(project: Project) -> Iterator[Proposal]:
    """Volumes at random, 66 % of them with probabilities in proportion to their predicted foreground.

    That is how often a foreground voxel of the whole pool, drawn at random, lies in each of them: what drawing patches
    around such voxels becomes where whole volumes are asked for. Before a model of the task has predicted anything, by
    the proxy model if it has, else as the recipe starts.
    """
    model = foreground_model(project)
    left = set(project.ledger.pool("training"))
    if isinstance(model, str):
        return first_volumes(project, model)
    if not left:
        return first_volumes(project, "no case to train on is left")
    return itertools.chain(validation_due(project), _foreground_volumes(project, model, left))


def foreground_random_slice_proposals(project: Project) -> Iterator[Proposal]:
    """Slices at random, 66 % of them of those in which the model predicts foreground.

    Before a model of the task has predicted anything, as the recipe starts; where that is with volumes, by their
    foreground if the proxy model knows it.
    """
    model = ranking_model(project, FOREGROUND)
    if isinstance(model, str) and not project.recipe.query.starts_with_slices:
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
    foreground = project.ledger.volume_scores(model.version, *FOREGROUND)
    by = f"by {_named(project, model)}{model.caveat}"
    for image_id, for_foreground in foreground_aware(foreground, noise_key(project, model.version, "foreground")):
        if image_id not in left:
            continue
        if for_foreground:
            voxels = foreground[image_id]
            said = f"{voxels:.0f} voxels of foreground {by}, drawn in proportion to them"
            yield Proposal(image_id, said, voxels, model.version)
        else:
            yield Proposal(image_id, f"drawn from all cases, others for their foreground {by}", None, model.version)
    for image_id in shuffled(left - foreground.keys(), project.settings.seed):
        yield Proposal(image_id, f"no foreground is known {by}: drawn at random")


def foreground_model(project: Project) -> RankingModel | str:
    """The model whose predictions tell foreground: one of the task, else the proxy model; or why there is none."""
    model = ranking_model(project, FOREGROUND)
    proxy = project.ledger.model_in_use("proxy")
    if isinstance(model, str) and proxy is not None and project.ledger.has_scores(proxy.version, *FOREGROUND):
        return RankingModel(proxy.version)
    return model


def _named(project: Project, model: RankingModel) -> str:
    kind = project.ledger.model(model.version).kind
    return f"{'proxy ' if kind == 'proxy' else ''}model {model.version}"
