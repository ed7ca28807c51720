"""The anisotropic U-Net of chlebus2022 (fig. 1): in-plane convolutions above, separable 3D ones below."""

from collections.abc import Sequence

import torch
from monai.networks.layers.utils import get_norm_layer
from torch import Tensor, nn

from activelabel.errors import InvalidInputError
from activelabel.networks.unet import check_levels, check_upsampling
from activelabel.recipes import NetworkSettings

IN_PLANE_LEVELS = 2

Size3D = tuple[int, int, int]


class AnisotropicUNet(nn.Module):
    """A network from images (B, inputs, W, H, D), slices along D, to logits (B, classes, W, H, D).

    As the paper says: the upper two levels convolve in the plane, the others in 3D separably; each convolution is
    followed by normalisation and ReLU; max pooling leads down, transposed convolutions lead up; each level of the
    decoder has dropout.

    The poolings follow from the paper's margins, 92 voxels in the plane and 20 across. Two valid convolutions a level
    remove exactly these on the way down and up if the first two poolings halve the plane only and the others all axes
    (4·1 + 4·2 + 4·4 + 4·8 + 2·16 = 92, and 4·1 + 4·2 + 2·4 = 20 from the third level on).

    Neither the text nor the figure's caption gives the following; it is assumed: "separable" means 3x3x1 and then
    1x1x3, each with normalisation and ReLU; normalised convolutions have no bias; transposed convolutions have the size
    of their stride and halve the channels as U-Net does; dropout lies between concatenation and the level's first
    convolution. The widths are not given either. Those of the recipe `chlebus2022`, (32, 56, 96, 168, 336), are
    multiples of 8 that come near the paper's 4,975,346 trainable parameters for two classes: they give 4,975,618, which
    is 272 (0.005 %) more.

    Unlike in the paper, convolutions pad with zeros and keep the size: patches need no margin of reflected context, and
    the output of a window has its size. A window sees less context near its border than in the paper; overlapping
    windows, blended with Gaussian weights, make up for it.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[int],
        classes: int,
        dropout: float,
        normalisation: str,
        inputs: int = 1,
    ) -> None:
        """Two or more levels with `strides` between them: in the plane between the upper two, along all axes below."""
        super().__init__()
        steps = [(stride, stride, 1 if level < IN_PLANE_LEVELS else stride) for level, stride in enumerate(strides)]
        widths = (inputs, *channels)
        self.encoder = nn.ModuleList(
            _level(widths[level], width, level, normalisation) for level, width in enumerate(channels)
        )
        self.down = nn.ModuleList(nn.MaxPool3d(step) for step in steps)
        self.up = nn.ModuleList(
            nn.ConvTranspose3d(below, above, kernel_size=step, stride=step)
            for above, below, step in zip(channels[:-1], channels[1:], steps, strict=True)
        )
        self.dropout = nn.ModuleList(nn.Dropout(dropout) for _ in steps)
        self.decoder = nn.ModuleList(
            _level(2 * width, width, level, normalisation) for level, width in enumerate(channels[:-1])
        )
        self.head = nn.Conv3d(channels[0], classes, kernel_size=1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of `images`, whose axes must be multiples of the product of the strides along them."""
        values = self.encoder[0](images)
        skipped = []
        for down, level in zip(self.down, list(self.encoder)[1:], strict=True):
            skipped.append(values)
            values = level(down(values))
        upwards = zip(self.up, self.dropout, self.decoder, skipped, strict=True)
        for up, dropout, level, beside in reversed(list(upwards)):
            values = level(dropout(torch.cat([beside, up(values)], dim=1)))
        logits: Tensor = self.head(values)
        return logits


def build_anisotropic_unet(settings: NetworkSettings, classes: int, inputs: int = 1) -> nn.Module:
    """An `AnisotropicUNet`. W and H must be multiples of the product of its strides, D of all but the first two.

    Raises:
        InvalidInputError: fewer than two levels, not one stride between each two of them, or residual units or another
            upsampling, which this network does not have.
    """
    check_levels(settings)
    check_upsampling(settings)
    if settings.residual_units:
        raise InvalidInputError(
            f"network.residual_units is {settings.residual_units}: an anisotropic_unet has none, write 0"
        )
    return AnisotropicUNet(
        settings.channels, settings.strides, classes, settings.dropout, settings.normalisation, inputs
    )


def _level(inputs: int, width: int, level: int, normalisation: str) -> nn.Sequential:
    """The two convolutions of a level: in the plane on the upper ones, separable in 3D below."""
    kernels: list[Size3D] = [(3, 3, 1)] if level < IN_PLANE_LEVELS else [(3, 3, 1), (1, 1, 3)]
    layers: list[nn.Module] = []
    for _ in range(2):
        for kernel in kernels:
            layers += _convolution(inputs, width, kernel, normalisation)
            inputs = width
    return nn.Sequential(*layers)


def _convolution(inputs: int, width: int, kernel: Size3D, normalisation: str) -> list[nn.Module]:
    w, h, d = kernel
    return [
        nn.Conv3d(inputs, width, kernel, padding=(w // 2, h // 2, d // 2), bias=False),
        get_norm_layer(normalisation, spatial_dims=3, channels=width),
        nn.ReLU(),
    ]
