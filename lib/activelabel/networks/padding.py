"""Convolutions that repeat the outermost voxels beyond the ends of a window, instead of zeros.

Zeros tell a network where a window ends, as no tissue does, and give the first and last slices of a volume scores that
their content does not give them.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from activelabel.networks.smoothing import Smooth


class RepeatedTranspose(nn.Module):
    """An `nn.ConvTranspose3d` whose input is repeated beyond both ends, as far as its kernel looks.

    With a kernel of 3 and a stride of 2, every other voxel lies between two of the input and gets a term of each; with
    zeros, the last one has no second term. An axis of n voxels becomes one of n · stride. Its state has the same names
    and shapes.

    Attributes:
        stride: along the three axes.
    """

    def __init__(self, layer: nn.ConvTranspose3d, smooth: Smooth | None = None) -> None:
        """Take over the weights of `layer`; if `smooth` follows, it sees what lies beyond the ends of the output."""
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.stride, paddings = layer.stride, cast(tuple[int, ...], layer.padding)
        self._beyond = (0, 0, 0) if smooth is None else tuple(step - 1 for step in smooth.stride)
        if smooth is not None:
            smooth.repeats = False
        # Voxel i of the input and place k of the kernel have a term in voxel i · stride − padding + k of the output.
        axes = list(zip(layer.kernel_size, self.stride, paddings, self._beyond, strict=True))
        before = [(more + kernel - 1 - padding) // step for kernel, step, padding, more in axes]
        after = [(more + padding - 1) // step + 1 for _, step, padding, more in axes]
        pairs = zip(reversed(before), reversed(after), strict=True)  # torch counts axes from the last one
        self._repeated = [length for pair in pairs for length in pair]
        cut = zip(before, axes, strict=True)
        self._first = [step * ahead + padding - more for ahead, (_, step, padding, more) in cut]

    def forward(self, values: Tensor) -> Tensor:
        """`values` (B, C, *S), upsampled."""
        repeated = functional.pad(values, self._repeated, mode="replicate")
        result = self.upsampled(repeated)
        for axis, (first, step, more) in enumerate(zip(self._first, self.stride, self._beyond, strict=True), start=2):
            result = result.narrow(axis, first, step * values.shape[axis] + 2 * more)
        return result

    def upsampled(self, repeated: Tensor) -> Tensor:
        """Every voxel in which those of `repeated` have a term."""
        return torch.conv_transpose3d(repeated, self.weight, self.bias, self.stride)


def repeat_at_ends(network: nn.Module) -> nn.Module:
    """The same `network`, changed in place: its convolutions repeat the outermost voxels beyond the ends of a window.

    Names and shapes of its state stay the same.
    """
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.Conv3d) and any(layer.padding):
                layer.padding_mode = "replicate"
            elif isinstance(layer, nn.ConvTranspose3d) and any(layer.padding):
                setattr(parent, name, RepeatedTranspose(layer, _follower(parent)))
    return network


def _follower(parent: nn.Module) -> Smooth | None:
    """The layer that smooths the output of the transposed convolution in `parent`."""
    return next((layer for layer in parent.children() if isinstance(layer, Smooth)), None)
