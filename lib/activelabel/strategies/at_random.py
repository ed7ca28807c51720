"""Strategies that choose volumes or slices at random, without any model."""

from collections.abc import Iterator

from activelabel.acquisition.selection import shuffled
from activelabel.acquisition.slice_selection import in_rounds, random_slices, strided_slices
from activelabel.project.project import Project
from activelabel.strategies.proposal import Proposal, Proposals
from activelabel.strategies.slice_rounds import Chosen, proposals_of_rounds, slice_counts


def random_proposals(project: Project, reason: str) -> Iterator[Proposal]:
    """The training cases of the pool in a random order that the seed fixes, then its validation cases."""
    for image_id in project.ledger.training_pool_at_random():
        yield Proposal(image_id, reason)
    for image_id in shuffled(project.ledger.pool("validation"), project.settings.seed):
        yield Proposal(image_id, f"a validation case, never trained on: {reason}")


def random_slice_proposals(project: Project, reason: str, size: int) -> Iterator[Proposal]:
    """`size` slices a round, drawn at random from all slices of all volumes."""
    pool = project.ledger.slice_pool()
    drawn = (Chosen(*slice_) for slice_ in random_slices(slice_counts(pool), project.settings.seed))
    return proposals_of_rounds(pool, in_rounds(drawn, size), lambda _: reason)


def random_slices_left(project: Project, reason: str, size: int) -> Iterator[Proposal]:
    """The slices that may be asked for now, in the same random order, in groups of `size`."""
    pool = project.ledger.slice_pool()
    taken = {image.image_id: image.taken for image in pool}
    drawn = random_slices(slice_counts(pool), project.settings.seed)
    left = (Chosen(volume, index) for volume, index in drawn if index not in taken[volume])
    return proposals_of_rounds(pool, in_rounds(left, size), lambda _: reason)


def random_slices_of_round(project: Project) -> Iterator[Proposal]:
    """A round of random slices; before the first model, the start set if the recipe starts with slices.

    If a round counts slices *with foreground*, only as many slices are proposed at a time as are missing, so that a
    single annotator is not asked for more than the round needs.
    """
    query, reason = project.recipe.query, "drawn at random from all slices"
    if project.ledger.model_in_use() is None:
        size = query.start if query.starts_with_slices else query.round_size(of_slices=True)
        return random_slice_proposals(project, reason, size)
    if not query.counts_foreground:
        return random_slice_proposals(project, reason, query.round_size(of_slices=True))
    wanted = project.thresholds.retrain_after
    missing = wanted - project.ledger.new_foreground_slices()
    return random_slices_left(project, f"{reason}, until {wanted} with foreground are annotated", max(missing, 1))


def strided_slice_proposals(project: Project, reason: str) -> Iterator[Proposal]:
    """Volumes in random order, with every n-th slice of each."""
    pool, stride = project.ledger.slice_pool(), project.recipe.query.slice_stride
    slices = [Chosen(*slice_) for slice_ in strided_slices(slice_counts(pool), stride, project.settings.seed)]
    return proposals_of_rounds(pool, [slices], lambda _: f"every slice in {stride} of a volume {reason}")


def _random_volumes(project: Project) -> Iterator[Proposal]:
    return random_proposals(project, "drawn at random from the pool")


def _strided_slices(project: Project) -> Iterator[Proposal]:
    return strided_slice_proposals(project, "drawn at random")


STRATEGIES: dict[str, Proposals] = {
    "random_volumes": _random_volumes,
    "random_slices": random_slices_of_round,
    "strided_slices": _strided_slices,
}
