"""Foreground-aware random by the ground truth, as in nnActive: a reference that no live project can have."""

from collections.abc import Callable, Iterator
from functools import cache, partial

import numpy as np

from activelabel.acquisition.foreground_share import foreground_aware
from activelabel.acquisition.slice_selection import SliceId, in_rounds
from activelabel.project.project import Project
from activelabel.recipes.strategy_traits import traits_of
from activelabel.simulation.annotator import only_structures
from activelabel.simulation.cases import Cases
from activelabel.simulation.reference_label import read_reference_label
from activelabel.strategies.asking import ProjectStrategy, SliceStrategy
from activelabel.strategies.proposal import Proposal, proposals_left
from activelabel.strategies.slice_rounds import Chosen, proposals_of_rounds

Foreground = Callable[[str, int], tuple[int, ...]]
"""A function from an image id and an axis to the number of true foreground voxels in each slice along the axis."""

ORACLE_STRATEGIES = {
    "foreground_random_oracle": "foreground_random",
    "foreground_random_oracle_slices": "foreground_random_slices",
}
"""By oracle strategy, the strategy of a live project that takes its place in the settings."""


def oracle_strategies(project: Project, cases: Cases) -> dict[str, ProjectStrategy]:
    """The oracle strategies, by name, for a project on these cases."""

    @cache  # keeps the counts: the labels of a whole pool would take too much memory
    def foreground(image_id: str, axis: int) -> tuple[int, ...]:
        true_label = read_reference_label(cases.images[image_id], cases.labels[image_id], cases.label_names)
        drawn = only_structures(true_label.array, cases.label_names, true_label.names)
        return tuple(np.count_nonzero(np.moveaxis(drawn, axis, 0), axis=(1, 2)).tolist())

    volumes, slices = ORACLE_STRATEGIES
    by_volume, by_slice = partial(_volumes, foreground=foreground), partial(_slices, foreground=foreground)
    return {
        volumes: ProjectStrategy(project, volumes, by_volume, traits_of(volumes).summary),
        slices: SliceStrategy(project, slices, by_slice, traits_of(slices).summary),
    }


def _volumes(project: Project, foreground: Foreground) -> Iterator[Proposal]:
    voxels = {image_id: float(sum(foreground(image_id, 0))) for image_id in _training(project)}

    def proposals() -> Iterator[Proposal]:
        for image_id, for_foreground in foreground_aware(voxels, _key(project)):
            reason = "drawn in proportion to its true foreground" if for_foreground else "drawn from all cases"
            yield Proposal(image_id, reason, voxels[image_id])

    return proposals_left(project, proposals())


def _slices(project: Project, foreground: Foreground) -> Iterator[Proposal]:
    some: dict[SliceId, float] = {}
    for image_id in _training(project):
        axis = project.ledger.image(image_id).slice_axis
        assert axis is not None  # the slices are counted before the first query
        some |= {(image_id, index): float(voxels > 0) for index, voxels in enumerate(foreground(image_id, axis))}
    order = (Chosen(*slice_) for slice_, _ in foreground_aware(some, _key(project)))
    size = project.recipe.query.round_size(of_slices=True)
    rounds, reason = in_rounds(order, size), "drawn at random, two thirds where foreground is"
    return proposals_of_rounds(project.ledger.slice_pool(), rounds, lambda _: reason)


def _training(project: Project) -> Iterator[str]:
    """All images to train on, annotated or not, so that the order stays the same."""
    return (image.id for image in project.ledger.images() if image.role == "training")


def _key(project: Project) -> str:
    return f"{project.settings.seed}:oracle"
