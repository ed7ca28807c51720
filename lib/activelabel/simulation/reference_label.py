"""The reference label of a case, on the grid of its image."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from activelabel.data.files.image_files import AnyImage
from activelabel.data.label_checking import read_label
from activelabel.data.volumes import Volume, read_grid


@dataclass(frozen=True, eq=False)
class ReferenceLabel(Volume):
    """A reference label on the grid of its image: value v is `names[v - 1]` if the file names its values."""

    names: tuple[str, ...] = ()


def read_reference_label(image: AnyImage, label: Path, wanted: Sequence[str] | None = None) -> ReferenceLabel:
    """The label on the grid of its image, as `check_label` puts it there; its values are not checked.

    A query counts slices as the image has them, and a label may have been stored with its axes exchanged or turned.

    Args:
        image: the files of the image.
        label: the file of the label.
        wanted: the project's label names, as `read_label` has them.

    Raises:
        InvalidInputError: a file cannot be read, or the label does not lie on the image's voxels.
    """
    grid = read_grid(image)
    found = read_label(label, grid, wanted)
    array = found.array.astype(np.float32, copy=False)
    return ReferenceLabel(array, grid.affine_ras, label, grid.other_affines, names=found.names)
