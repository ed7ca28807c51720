"""Strategies that add noise to scores, so that a round is diverse: power noise and ClaSP PE.

The noise depends only on seed, model, image and slice, so cases that are asked for one by one are those of the whole
round.
"""

from collections.abc import Iterator, Mapping
from functools import partial

from activelabel.acquisition.class_scores import class_region
from activelabel.acquisition.class_stratified import class_stratified
from activelabel.acquisition.power_noise import power_order, scheduled_beta
from activelabel.acquisition.selection import Id
from activelabel.names import ScoreKind
from activelabel.project.project import Project
from activelabel.strategies.proposal import Proposal, Proposals, proposals_left
from activelabel.strategies.ranking import models_before, noise_key, scored_cases
from activelabel.strategies.slice_rounds import Chosen, ScoredSlices, ranked_slice_proposals

POWER_BETA = 1.0
"""The default of Kirsch et al. 2021."""


def power_proposals(project: Project, measure: str) -> Iterator[Proposal]:
    """Volumes drawn with probabilities in proportion to the sum of a measure (Kirsch et al. 2021).

    Raises:
        NotRankedYet: no model has such scores, or no case left has one.
    """
    scored = scored_cases(project, [ScoreKind(measure)])
    key = noise_key(project, scored.version, measure)

    def proposals() -> Iterator[Proposal]:
        for (scores,) in scored.groups:
            for image_id in power_order(scores, POWER_BETA, key):
                ranked_by = f"{measure.replace('_', ' ')} {scores[image_id]:.4g} by model {scored.version}"
                reason = f"{ranked_by}, drawn in proportion to it{scored.caveat}"
                yield Proposal(image_id, reason, scores[image_id], scored.version)

    return proposals_left(project, proposals())


def clasp_proposals(project: Project) -> Iterator[Proposal]:
    """ClaSP PE of nnActive with volumes instead of patches: 66 % of a round chosen class by class, with fading noise.

    The sums over a volume stand for nnActive's means over a patch.

    Raises:
        NotRankedYet: no model has such scores, or no case left has one.
    """
    scored = scored_cases(project, _clasp_kinds(project))

    def proposals() -> Iterator[Proposal]:
        for group in scored.groups:
            scores = dict(zip([*project.labels, None], group, strict=True))
            size = project.recipe.query.round_size(of_slices=False)
            for image_id, name in _clasp_rounds(project, scored.version, scores, size):
                score = scores[name][image_id]
                reason = f"{_named(name)} {score:.4g} by model {scored.version}, drawn with noise that fades"
                yield Proposal(image_id, f"{reason}{scored.caveat}", score, scored.version)

    return proposals_left(project, proposals())


def power_slice_proposals(project: Project, measure: str) -> Iterator[Proposal]:
    """Slices drawn with probabilities in proportion to the sum of a measure over each."""

    def order(scored: ScoredSlices) -> Iterator[Chosen]:
        scores = scored.values()
        for slice_ in power_order(scores, POWER_BETA, noise_key(project, scored.version, measure)):
            yield Chosen(*slice_, scores[slice_], measure.replace("_", " "))

    return ranked_slice_proposals(project, [ScoreKind(measure)], order, "drawn in proportion to it")


def clasp_slice_proposals(project: Project) -> Iterator[Proposal]:
    """ClaSP PE with slices instead of patches, by sums, because all slices of an image have equally many voxels."""

    def order(scored: ScoredSlices) -> Iterator[Chosen]:
        scores = {name: scored.values(kind) for kind, name in enumerate([*project.labels, None])}
        size = project.recipe.query.round_size(of_slices=True)
        for slice_, name in _clasp_rounds(project, scored.version, scores, size):
            yield Chosen(*slice_, scores[name][slice_], _named(name))

    return ranked_slice_proposals(project, _clasp_kinds(project), order, "drawn with noise that fades")


def _clasp_rounds(
    project: Project, version: int, scores: Mapping[str | None, Mapping[Id, float]], size: int
) -> Iterator[tuple[Id, str | None]]:
    """Every id once, with the class that selected it; `scores` has those of each class, and of all under None."""
    key = noise_key(project, version, "clasp_pe")
    beta = scheduled_beta(models_before(project, version) + 1)
    by_class = {name: power_order(scores[name], beta, f"{key}:{name}") for name in project.labels}
    return class_stratified(by_class, power_order(scores[None], beta, key), size, key)


def _clasp_kinds(project: Project) -> list[ScoreKind]:
    """The scores that ClaSP PE uses: the entropy of each class in the order of the labels, then that of all classes."""
    regions = [*(class_region(label) for label in range(1, len(project.labels) + 1)), "everything"]
    return [ScoreKind("entropy", region) for region in regions]


def _named(name: str | None) -> str:
    """The name of a score of ClaSP PE in a reason: the entropy in one class, or in the whole image."""
    return "entropy" if name is None else f"entropy in {name}"


STRATEGIES: dict[str, Proposals] = {
    "power_bald": partial(power_proposals, measure="mutual_information"),
    "power_entropy": partial(power_proposals, measure="entropy"),
    "clasp_pe": clasp_proposals,
    "power_bald_slices": partial(power_slice_proposals, measure="mutual_information"),
    "power_entropy_slices": partial(power_slice_proposals, measure="entropy"),
    "clasp_pe_slices": clasp_slice_proposals,
}
