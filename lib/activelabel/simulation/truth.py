"""What is true of a case: its label, voxel by voxel where those of its image are."""

from pathlib import Path

from activelabel.data.grids import axis_order
from activelabel.data.volumes import Volume, read_grid, read_volume
from activelabel.errors import InvalidInputError


def read_truth(image: Path, label: Path) -> Volume:
    """The label on the grid of its image, as `check_label` puts it there; nothing is asked of its values.

    A query counts slices as the image has them, and a label may have been stored with its axes exchanged or turned.

    Raises:
        InvalidInputError: a file cannot be read, or they have not the same voxels.
    """
    truth, grid = read_volume(label), read_grid(image)
    order = axis_order(truth.grid, grid)
    if order is None:
        raise InvalidInputError(
            f"{label}: expected a label on the grid of {image.name}, got one of other voxels: export it on that grid"
        )
    return Volume(order.apply(truth.array), grid.affine_ras, label)
