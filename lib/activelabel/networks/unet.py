"""The 3D U-Net of MONAI, with dropout on every level."""

from monai.networks.nets import UNet
from torch import nn

from activelabel.errors import InvalidInputError
from activelabel.recipes import NetworkSettings


def build_unet(settings: NetworkSettings, classes: int) -> nn.Module:
    """A residual 3D U-Net. The axes of its input must be multiples of the product of its strides.

    MONAI puts a dropout layer between normalisation and activation of each convolution, the last one excepted.

    Raises:
        InvalidInputError: fewer than two levels, or not one stride between each two of them.
    """
    levels = len(settings.channels)
    if levels < 2 or len(settings.strides) != levels - 1:
        raise InvalidInputError(
            f"network.strides has {len(settings.strides)} entries for {levels} levels of network.channels: expected at "
            "least 2 levels, and one stride less than levels"
        )
    return UNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=classes,
        channels=settings.channels,
        strides=settings.strides,
        num_res_units=settings.residual_units,
        norm=settings.normalisation,
        dropout=settings.dropout,
    )
