"""MONAI's U-Nets with dropout on every level: in three dimensions, and slice by slice."""

from monai.networks.nets import UNet
from torch import nn

from activelabel.errors import InvalidInputError
from activelabel.networks.smoothing import smooth_upsampling
from activelabel.recipes import NetworkSettings


def build_unet(settings: NetworkSettings, classes: int, inputs: int = 1) -> nn.Module:
    """A residual 3D U-Net. The axes of its input must be multiples of the product of its strides.

    MONAI puts a dropout layer between normalisation and activation of each convolution, the last one excepted. Its
    transposed convolutions have a kernel of 3 and a stride of 2, which leaves a grid pattern unless
    `settings.upsampling` smooths them.

    Raises:
        InvalidInputError: fewer than two levels, or not one stride between each two of them.
    """
    check_levels(settings)
    return _monai_unet(settings, classes, inputs, kernel=(3, 3, 3), depth_strides=settings.strides)


def build_unet2d(settings: NetworkSettings, classes: int, inputs: int = 1) -> nn.Module:
    """A 2D U-Net for the slices along the last axis (ma2024, which does not describe its "designed Unet" further).

    Its input and output are those of a 3D network, (B, C, W, H, D), but a slice never sees its neighbours: all kernels
    are 3x3x1 and all strides 1 along D, as if the D slices were items of the batch. W and H must be multiples of the
    product of the strides, D may be anything. Instance normalisation, if the settings ask for it, runs over all slices
    of a window; for windows of one slice, (w, h, 1), it runs over that slice.

    Raises:
        InvalidInputError: as `build_unet`.
    """
    check_levels(settings)
    return _monai_unet(settings, classes, inputs, kernel=(3, 3, 1), depth_strides=(1,) * len(settings.strides))


def check_levels(settings: NetworkSettings) -> None:
    """Check that `channels` and `strides` describe the levels of a U-Net.

    Raises:
        InvalidInputError: fewer than two levels, or not one stride between each two of them.
    """
    levels = len(settings.channels)
    if levels < 2 or len(settings.strides) != levels - 1:
        raise InvalidInputError(
            f"network.strides has {len(settings.strides)} entries for {levels} levels of network.channels: expected at "
            "least 2 levels, and one stride less than levels"
        )


def check_upsampling(settings: NetworkSettings) -> None:
    """Check that the settings ask for no other upsampling than transposed convolutions of the size of their stride.

    Raises:
        InvalidInputError: they do.
    """
    if settings.upsampling != "transposed":
        raise InvalidInputError(
            f"network.upsampling is {settings.upsampling}: a {settings.kind} has transposed convolutions of the size "
            "of their stride, which leave no grid: leave it out"
        )


def _monai_unet(
    settings: NetworkSettings,
    classes: int,
    inputs: int,
    kernel: tuple[int, int, int],
    depth_strides: tuple[int, ...],
) -> nn.Module:
    network = UNet(
        spatial_dims=3,
        in_channels=inputs,
        out_channels=classes,
        channels=settings.channels,
        strides=[(stride, stride, depth) for stride, depth in zip(settings.strides, depth_strides, strict=True)],
        kernel_size=kernel,
        up_kernel_size=kernel,
        num_res_units=settings.residual_units,
        norm=settings.normalisation,
        dropout=settings.dropout,
    )
    return smooth_upsampling(network) if settings.upsampling == "smoothed" else network
