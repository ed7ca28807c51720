"""A way up that leaves no grid: resize and convolve, instead of a transposed convolution whose kernel overlaps itself.

With a kernel of 3 and a stride of 2 every other voxel has more of the kernel over it than its neighbours. That shows as
a grid of dots in masks and uncertainty, and in the profile of a volume's slices (Odena et al. 2016, "Deconvolution and
checkerboard artifacts").
"""

from torch import Tensor, nn

LEAST_WIDTH = 8
"""Channels between the two convolutions, where fewer come out: the last one makes logits of them."""


class ResizeConvolution(nn.Module):
    """From (B, inputs, *S) to (B, outputs, *S times stride): what a transposed convolution of that stride gives.

    First 1x1x1, where there are fewer voxels, then trilinear, then a convolution of `kernel` that keeps the size.
    """

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, ...], stride: tuple[int, ...]) -> None:
        """`kernel` and `stride` along the three axes; the kernel is odd along each."""
        super().__init__()
        width = max(outputs, LEAST_WIDTH)
        w, h, d = kernel
        factors = tuple(float(step) for step in stride)
        self.narrow = nn.Conv3d(inputs, width, kernel_size=1)
        self.resize = nn.Upsample(scale_factor=factors, mode="trilinear", align_corners=False)
        self.convolve = nn.Conv3d(width, outputs, (w, h, d), padding=(w // 2, h // 2, d // 2))

    def forward(self, values: Tensor) -> Tensor:
        """Larger by the stride along each axis."""
        resized: Tensor = self.convolve(self.resize(self.narrow(values)))
        return resized


def resize_instead(network: nn.Module) -> nn.Module:
    """`network`, each of its transposed convolutions replaced by a `ResizeConvolution`; itself, not a copy."""
    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, nn.ConvTranspose3d):
                kernel, stride = layer.kernel_size, layer.stride
                setattr(parent, name, ResizeConvolution(layer.in_channels, layer.out_channels, kernel, stride))
    return network
