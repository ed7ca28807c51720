"""What is true of a case: its label, voxel by voxel where those of its image are."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from activelabel.data.files.volumes import Volume, read_grid
from activelabel.data.labels import read_label


@dataclass(frozen=True, eq=False)
class Truth(Volume):
    """A label on the grid of its image: value v is `names[v - 1]` where its file names its values."""

    names: tuple[str, ...] = ()


def read_truth(image: Path, label: Path, wanted: Sequence[str] | None = None) -> Truth:
    """The label on the grid of its image, as `check_label` puts it there; nothing is asked of its values.

    A query counts slices as the image has them, and a label may have been stored with its axes exchanged or turned.

    Args:
        image: its file.
        label: its file.
        wanted: the project's label names, as `read_label` has them.

    Raises:
        InvalidInputError: a file cannot be read, or they have not the same voxels.
    """
    grid = read_grid(image)
    truth = read_label(label, grid, wanted)
    return Truth(truth.array, grid.affine_ras, label, grid.other_affines, truth.names)
