"""The fingerprint of a folder of images: sizes and spacings of all, intensities of some and of their foreground."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

from activelabel.data.files.image_files import AnyImage
from activelabel.data.grids import Grid
from activelabel.data.intensities import is_hounsfield, spread_sample
from activelabel.data.label_checking import check_label, read_label
from activelabel.data.labels.label_map import label_map_of
from activelabel.data.slices import slice_axis
from activelabel.data.splits import stable_fraction
from activelabel.data.volumes import read_grid, read_volume
from activelabel.errors import InvalidInputError
from activelabel.recipes.fingerprint import Fingerprint, ImageShape

MEASURED = 20
"""The number of images whose voxels are read, chosen by a hash of their names if there are more."""


def take_fingerprint(
    images: Mapping[str, AnyImage],
    labels: Mapping[str, Path],
    looked: Callable[[str], None] = lambda _: None,
    label_map: Sequence[str] | None = None,
) -> tuple[Fingerprint, list[str]]:
    """The fingerprint of images, and a line for each that cannot be read.

    Args:
        images: the files of each image, by id.
        labels: label files by id, for images that have one.
        looked: called with the id of each image, readable or not, after its header is opened.
        label_map: what values of the labels mean; None: every value above 0 is a structure.

    Raises:
        InvalidInputError: no image can be read; the line is that of the first.
    """
    grids: dict[str, Grid] = {}
    problems: list[str] = []
    first: InvalidInputError | None = None
    for image_id, path in images.items():
        try:
            grids[image_id] = read_grid(path)
        except InvalidInputError as error:
            first = first or error
            problems.append(str(error))
        looked(image_id)
    if not grids:
        raise first or InvalidInputError("no image: put images into the folder")
    chosen = sorted(grids, key=lambda image_id: (image_id not in labels, stable_fraction(image_id)))[:MEASURED]
    votes, samples, drawn, voxels = [], [], 0, 0
    for image_id in chosen:
        try:
            volume = read_volume(images[image_id])
            votes.append([is_hounsfield(channel) for channel in volume.channels])
            foreground = _foreground(labels.get(image_id), grids[image_id], label_map)
        except InvalidInputError as error:
            problems.append(str(error))
            continue
        if foreground is not None:
            drawn, voxels = drawn + int(np.count_nonzero(foreground)), voxels + foreground.size
        samples.append([_sample(channel, foreground) for channel in volume.channels])
    if not samples:
        raise InvalidInputError(problems[0])
    ct = tuple(2 * sum(votes_of) > len(votes) for votes_of in zip(*votes, strict=True))
    place = ct.index(True) if any(ct) else 0  # the window is that of the first channel that is CT
    low, high = np.percentile(np.concatenate([of_image[place] for of_image in samples]), [0.5, 99.5])
    return Fingerprint(
        tuple(_by_slices(grid) for grid in grids.values()),
        tuple(_by_directions(grid) for grid in grids.values()),
        ct[place],
        (float(low), float(high)),
        drawn / voxels if voxels else None,
        len(samples),
        ct,
    ), problems


def _foreground(label: Path | None, image: Grid, label_map: Sequence[str] | None) -> NDArray[np.bool_] | None:
    """The voxels of structures; None without a label. Background and ignored voxels belong to none."""
    if label is None:
        return None
    if label_map is None:
        return read_label(label, image).array > 0
    labels = label_map_of(label_map)
    return labels.drawn(check_label(label, image, labels).array)


def _sample(array: NDArray[np.float32], foreground: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    return spread_sample(array if foreground is None or not foreground.any() else array[foreground])[::10]


def _by_slices(grid: Grid) -> ImageShape:
    """The shape with the axis across the acquired slices last, as in-plane networks see it."""
    across = slice_axis(grid)
    return _in_order(grid, [*(axis for axis in _by_direction(grid) if axis != across), across])


def _by_directions(grid: Grid) -> ImageShape:
    return _in_order(grid, _by_direction(grid))


def _by_direction(grid: Grid) -> list[int]:
    """The axes nearest to left-right, front-back and up-down, in this order."""
    nearest = nibabel.orientations.io_orientation(grid.affine_ras)[:, 0]
    return [int(np.flatnonzero(nearest == direction)[0]) for direction in range(3)]


def _in_order(grid: Grid, axes: Sequence[int]) -> ImageShape:
    first, second, third = axes
    size, spacing = grid.shape, grid.spacing_mm
    return ImageShape((size[first], size[second], size[third]), (spacing[first], spacing[second], spacing[third]))
