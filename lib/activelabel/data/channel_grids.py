"""The channels of an image on one grid: those that lie on another are resampled, if they cover enough of it."""

import numpy as np
from numpy.typing import NDArray

from activelabel.data.grids import Grid, axis_order
from activelabel.errors import InvalidInputError

LEAST_COVERED = 0.5
"""The least share of the shown channel's voxels that each other channel must cover. With less, most of the image has no
such channel, and what a network learns of it there is that there is nothing."""

_SAMPLES = 32  # points along each axis at which the overlap is measured


def on_grid(array: NDArray[np.float32], grid: Grid, target: Grid, name: str, reference: str) -> NDArray[np.float32]:
    """A channel (W, H, D) on `grid` on the grid `target` of the shown channel.

    The same voxels in another order are put in order. Others are interpolated, trilinearly; where the channel ends, it
    has its lowest value, as air or what was cut out has.

    Args:
        array: the voxels of the channel.
        grid: their grid.
        target: the grid of the shown channel.
        name: the channel, for messages.
        reference: the shown channel, for messages.

    Raises:
        InvalidInputError: the channel covers less than `LEAST_COVERED` of the shown one.
    """
    order = axis_order(grid, target)
    if order is not None:
        return order.apply(array)
    share = covered_share(grid, target)
    if share < LEAST_COVERED:
        raise InvalidInputError(
            f"{name} covers {share:.0%} of {reference}, expected at least {LEAST_COVERED:.0%}: they are not of one "
            "place, or not registered; register them, or take the image out"
        )
    # Imported here, as seldom needed: reading a volume would otherwise begin with importing all of MONAI.
    import torch
    from monai.data import MetaTensor
    from monai.transforms import SpatialResample

    low = float(array.min())
    image = MetaTensor(torch.from_numpy(array[None] - low), meta={"affine": torch.from_numpy(grid.affine_ras)})
    resample = SpatialResample(mode="bilinear", padding_mode="zeros", dtype=torch.float32)
    moved = resample(image, dst_affine=torch.from_numpy(target.affine_ras), spatial_size=target.shape)
    return np.asarray(moved.as_tensor().numpy()[0] + np.float32(low), dtype=np.float32)


def covered_share(grid: Grid, target: Grid) -> float:
    """The share of the voxels of `target` that lie within those of `grid`, measured at points spread over it."""
    axes = [np.unique(np.linspace(0, size - 1, _SAMPLES).round()) for size in target.shape]
    places = np.stack([*(axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))])
    to_grid = grid.to_voxels(target.affine_ras)
    found = to_grid[:3, :3] @ places + to_grid[:3, 3:]
    inside = (found >= -0.5) & (found <= np.array(grid.shape)[:, None] - 0.5)
    return float(inside.all(axis=0).mean())
