"""A way up that leaves no grid: a transposed convolution, smoothed where its kernel overlaps itself.

With a kernel of 3 and a stride of 2 every other voxel has more of the kernel over it than its neighbours. That shows as
a grid of dots in masks and uncertainty, and in the profile of a volume's slices (Odena et al. 2016, "Deconvolution and
checkerboard artifacts"). The mean over as many voxels as the stride has nothing left at the grid's periods.
"""

from torch import Tensor, nn
from torch.nn import functional


class Smooth(nn.Module):
    """The mean over `stride` voxels along each axis, twice: for a stride of 2 the weights 1, 2, 1, divided by 4.

    Twice, so that nothing is moved. (B, C, *S) keeps its size: its outermost voxels are repeated beyond its ends.
    """

    def __init__(self, stride: tuple[int, ...]) -> None:
        """`stride` along the three axes; along those where it is 1 nothing is smoothed."""
        super().__init__()
        self.stride = stride
        # torch counts axes from the last one
        self.beyond = [step - 1 for step in reversed(stride) for _ in ("before", "behind")]

    def forward(self, values: Tensor) -> Tensor:
        """`values`, smoothed."""
        wider = functional.pad(values, self.beyond, mode="replicate")
        once = functional.avg_pool3d(wider, self.stride, stride=1)
        return functional.avg_pool3d(once, self.stride, stride=1)


def smooth_upsampling(network: nn.Module) -> nn.Module:
    """`network`, each of its transposed convolutions with a stride followed by `Smooth`; itself, not a copy."""
    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, nn.ConvTranspose3d) and max(layer.stride) > 1:
                setattr(parent, name, nn.Sequential(layer, Smooth(layer.stride)))
    return network
