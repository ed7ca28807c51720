"""The project's own strategy: uncertainty in each predicted class, weighted equally, with noise; slices keep apart."""

from collections.abc import Iterator

from activelabel.acquisition.blend import balanced, blend_slices
from activelabel.acquisition.class_scores import class_region
from activelabel.acquisition.power_noise import power_order
from activelabel.names import ScoreKind
from activelabel.project.project import Project
from activelabel.strategies.proposal import Proposal, Proposals, proposals_left
from activelabel.strategies.ranking import noise_key, scored_cases
from activelabel.strategies.slice_rounds import Chosen, ScoredSlices, ranked_slice_proposals

BETA = 1.0
"""The inverse of the noise level; with 1, cases are drawn in proportion to their scores."""
_WHAT = "uncertainty in predicted structures"


def blend_proposals(project: Project) -> Iterator[Proposal]:
    """Volumes drawn in proportion to the entropy in each predicted structure; small structures count as much as large.

    Raises:
        NotRankedYet: no model has such scores, or no case left has one.
    """
    scored = scored_cases(project, _kinds(project))
    key = noise_key(project, scored.version, "blend")

    def proposals() -> Iterator[Proposal]:
        for group in scored.groups:
            scores = balanced(group)
            for image_id in power_order(scores, BETA, key):
                reason = f"{_WHAT} {scores[image_id]:.3g} times the mean by model {scored.version}, drawn in proportion"
                yield Proposal(image_id, f"{reason}{scored.caveat}", scores[image_id], scored.version)

    return proposals_left(project, proposals())


def blend_slice_proposals(project: Project) -> Iterator[Proposal]:
    """A few distant slices through the predicted structures of each volume; volumes are drawn in the same way."""
    query = project.recipe.query

    def order(scored: ScoredSlices) -> Iterator[Chosen]:
        by_class = [scored.values(kind) for kind in range(len(project.labels))]
        key = noise_key(project, scored.version, "blend")
        drawn = blend_slices(by_class, scored.learnt, BETA, query.min_slice_distance, key)
        for slice_, score in drawn:
            yield Chosen(*slice_, score, f"{_WHAT}, of the mean")

    return ranked_slice_proposals(project, _kinds(project), order, "drawn in proportion to it")


def _kinds(project: Project) -> list[ScoreKind]:
    return [ScoreKind("entropy", class_region(label)) for label in range(1, len(project.labels) + 1)]


STRATEGIES: dict[str, Proposals] = {"blend": blend_proposals, "blend_slices": blend_slice_proposals}
