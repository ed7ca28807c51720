"""Strategies whose scores are noised, so that a round is not several of the same: power noise and ClaSP PE.

The noise depends on seed, model, image and slice alone, so what is asked one by one is what would be asked at once.
"""

from collections.abc import Iterator, Mapping

from activelabel.acquisition.class_scores import class_region
from activelabel.acquisition.class_stratified import class_stratified
from activelabel.acquisition.power_noise import power_order, scheduled_beta
from activelabel.acquisition.selection import Id
from activelabel.project.project import Project, ScoreKind
from activelabel.strategies.at_random import Proposal, proposals_left
from activelabel.strategies.by_proxy import first_volumes
from activelabel.strategies.by_score import models_before, noise_key, scored_cases
from activelabel.strategies.slice_rounds import Chosen, ScoredSlices, ranked_slice_proposals

POWER_BETA = 1.0
"""The default of Kirsch et al. 2021."""


def power_proposals(project: Project, measure: str) -> Iterator[Proposal]:
    """Volumes drawn with probabilities in proportion to the sum of a measure (Kirsch et al. 2021)."""
    scored = scored_cases(project, [(measure, "everything", "total")])
    if isinstance(scored, str):
        return first_volumes(project, scored)
    key = noise_key(project, scored.version, measure)

    def proposals() -> Iterator[Proposal]:
        for (scores,) in scored.groups:
            for image_id in power_order(scores, POWER_BETA, key):
                said = f"{measure.replace('_', ' ')} {scores[image_id]:.4g} by model {scored.version}"
                reason = f"{said}, drawn in proportion to it{scored.caveat}"
                yield Proposal(image_id, reason, scores[image_id], scored.version)

    return proposals_left(project, proposals())


def clasp_proposals(project: Project) -> Iterator[Proposal]:
    """ClaSP PE of nnActive with volumes instead of patches: 66 % of a round class by class, with noise that fades.

    The sums over a volume stand for nnActive's means over a patch; before the first model, as the recipe starts.
    """
    scored = scored_cases(project, _clasp_kinds(project))
    if isinstance(scored, str):
        return first_volumes(project, scored)

    def proposals() -> Iterator[Proposal]:
        for group in scored.groups:
            scores = dict(zip([*project.labels, None], group, strict=True))
            size = project.recipe.query.round_size(of_slices=False)
            for image_id, name in _clasp_rounds(project, scored.version, scores, size):
                score = scores[name][image_id]
                said = f"{_said(name)} {score:.4g} by model {scored.version}, drawn with noise that fades"
                yield Proposal(image_id, f"{said}{scored.caveat}", score, scored.version)

    return proposals_left(project, proposals())


def power_slice_proposals(project: Project, measure: str) -> Iterator[Proposal]:
    """Slices drawn with probabilities in proportion to their sums of a measure."""

    def order(scored: ScoredSlices) -> Iterator[Chosen]:
        scores = scored.values()
        for slice_ in power_order(scores, POWER_BETA, noise_key(project, scored.version, measure)):
            yield Chosen(*slice_, scores[slice_], measure.replace("_", " "))

    return ranked_slice_proposals(project, [(measure, "everything", "total")], order, "drawn in proportion to it")


def clasp_slice_proposals(project: Project) -> Iterator[Proposal]:
    """ClaSP PE with slices instead of patches: their sums, as slices of an image have as many voxels each."""

    def order(scored: ScoredSlices) -> Iterator[Chosen]:
        scores = {name: scored.values(kind) for kind, name in enumerate([*project.labels, None])}
        size = project.recipe.query.round_size(of_slices=True)
        for slice_, name in _clasp_rounds(project, scored.version, scores, size):
            yield Chosen(*slice_, scores[name][slice_], _said(name))

    return ranked_slice_proposals(project, _clasp_kinds(project), order, "drawn with noise that fades")


def _clasp_rounds(
    project: Project, version: int, scores: Mapping[str | None, Mapping[Id, float]], size: int
) -> Iterator[tuple[Id, str | None]]:
    """Every id once, with the class by which it was taken: `scores` of each class, and under None of none."""
    key = noise_key(project, version, "clasp_pe")
    beta = scheduled_beta(models_before(project, version) + 1)
    by_class = {name: power_order(scores[name], beta, f"{key}:{name}") for name in project.labels}
    return class_stratified(by_class, power_order(scores[None], beta, key), size, key)


def _clasp_kinds(project: Project) -> list[ScoreKind]:
    """By which scores ClaSP PE goes: the entropy of each class in the order of the labels, then that of all."""
    regions = [*(class_region(label) for label in range(1, len(project.labels) + 1)), "everything"]
    return [("entropy", region, "total") for region in regions]


def _said(name: str | None) -> str:
    """What a score of ClaSP PE is: of a class, or of none."""
    return "entropy" if name is None else f"entropy in {name}"
