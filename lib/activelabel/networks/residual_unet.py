"""The residual U-Net of nath2022 (3 and 4.2), with dropout at the end of every level of encoder and decoder."""

from collections.abc import Sequence

import torch
from monai.networks.blocks import ResidualUnit
from torch import Tensor, nn

from activelabel.errors import InvalidInputError
from activelabel.networks.unet import check_levels, check_upsampling
from activelabel.recipes import NetworkSettings


class ResidualUNet(nn.Module):
    """A network from images (B, inputs, W, H, D) to logits (B, classes, W, H, D).

    As the paper says: an encoder and a decoder of levels, residual blocks at every level, and a dropout layer at the
    end of every level of both; the lowest level, where they meet, has one as well. Unlike in MONAI's `UNet`, nothing is
    dropped inside a block.

    The paper does not give the following; it is assumed: the first convolution of a block halves the size on the way
    down; transposed convolutions of the size of their stride lead up; their output is concatenated with that of the
    skip connection; a last 1x1x1 convolution, `head`, gives the logits. `head` is the one layer that is not taken over
    from a proxy model.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[int],
        units: int,
        classes: int,
        dropout: float,
        normalisation: str,
        inputs: int = 1,
    ) -> None:
        """Build two or more levels with `strides` between them; a residual block has `units` convolutions."""
        super().__init__()

        def level(inputs: int, width: int, stride: int) -> nn.Sequential:
            block = ResidualUnit(3, inputs, width, strides=stride, subunits=units, norm=normalisation, dropout=None)
            return nn.Sequential(block, nn.Dropout(dropout))

        widths = (inputs, *channels)
        self.encoder = nn.ModuleList(
            level(widths[place], width, stride)
            for place, (width, stride) in enumerate(zip(channels, (1, *strides), strict=True))
        )
        pairs = list(zip(channels[:-1], channels[1:], strides, strict=True))
        self.up = nn.ModuleList(nn.ConvTranspose3d(below, above, stride, stride) for above, below, stride in pairs)
        self.decoder = nn.ModuleList(level(2 * width, width, 1) for width in channels[:-1])
        self.head = nn.Conv3d(channels[0], classes, kernel_size=1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of `images`, whose axes must be multiples of the product of the strides."""
        values, skipped = images, []
        for level in self.encoder:
            values = level(values)
            skipped.append(values)
        upwards = zip(self.up, self.decoder, skipped[:-1], strict=True)
        for up, level, beside in reversed(list(upwards)):
            values = level(torch.cat([beside, up(values)], dim=1))
        logits: Tensor = self.head(values)
        return logits


def build_residual_unet(settings: NetworkSettings, classes: int, inputs: int = 1) -> nn.Module:
    """A `ResidualUNet`; `residual_units` is the number of convolutions in each block.

    Raises:
        InvalidInputError: fewer than two levels, not one stride between each two of them, no residual unit, or
            another upsampling.
    """
    check_levels(settings)
    check_upsampling(settings)
    if settings.residual_units < 1:
        raise InvalidInputError(
            f"network.residual_units is {settings.residual_units}: a residual_unet has 1 or more at every level"
        )
    return ResidualUNet(
        settings.channels,
        settings.strides,
        settings.residual_units,
        classes,
        settings.dropout,
        settings.normalisation,
        inputs,
    )
