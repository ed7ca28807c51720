"""Convolutions between few channels, as the last level of a residual U-Net has them, for a CPU.

Torch computes eight channels at once, and for a batch of one it copies the neighbours of each voxel into a matrix
first. Here neighbours along the last axis count as channels: where the channels lie innermost in memory, nothing is
copied for that. Between two channels of 96x96x96 voxels, a convolution takes 12 ms instead of 45, or 205 for one item.
"""

from typing import TypeGuard

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from activelabel.prediction.devices.replaceable import is_plain

MOST_CHANNELS = 4
"""With more channels, torch's own convolution is as fast."""

_FILLED = 8
"""How many channels are computed at once."""


def is_foldable(layer: nn.Module) -> TypeGuard[nn.Conv3d]:
    """Whether `FoldedConvolution` can replace a layer: one with few channels that keeps the size of its input."""
    if not is_plain(layer, nn.Conv3d) or max(layer.in_channels, layer.out_channels) > MOST_CHANNELS:
        return False
    is_dense = layer.groups == 1 and set(layer.stride) == set(layer.dilation) == {1}
    keeps_size = tuple(layer.padding) == tuple(length // 2 for length in layer.kernel_size)
    is_odd = all(length % 2 for length in layer.kernel_size)
    return is_dense and keeps_size and is_odd and layer.padding_mode in ("zeros", "replicate")


class FoldedConvolution(nn.Module):
    """An `nn.Conv3d` for which `is_foldable` holds. Its result has the channels innermost in memory."""

    def __init__(self, layer: nn.Conv3d) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self._repeats = layer.padding_mode == "replicate"

    def forward(self, values: Tensor) -> Tensor:
        """`values` (B, C, *S), convolved to (B, K, *S)."""
        return folded_convolution(values, self.weight, self.bias, self._repeats)


@fx.wrap
def folded_convolution(values: Tensor, weight: Tensor, bias: Tensor | None, repeats: bool) -> Tensor:
    """`values` (B, C, *S) through the kernels `weight` (K, C, *kernel), whose lengths are odd, to (B, K, *S).

    Beyond the ends are zeros or, with `repeats`, the outermost voxels; `bias` (K) is added, if any.
    """
    beyond = [length // 2 for length in weight.shape[2:]]
    block = _block(values.shape[-1], max(weight.shape[:2]), beyond[-1])
    if repeats:
        last = block if block > 1 and beyond[-1] else beyond[-1]
        sides = [length for length in (last, beyond[1], beyond[0]) for _ in range(2)]  # torch begins with the last axis
        values, beyond = functional.pad(values, sides, mode="replicate"), [0, 0, 0]
    if block == 1:
        return torch.conv3d(values, weight, bias, padding=beyond)
    folded = _with_last_axis(values, values.shape[-1] // block)
    biases = None if bias is None else bias.repeat(block)
    result = torch.conv3d(folded, _folded(weight, block), biases, padding=[*beyond[:2], min(beyond[2], 1)])
    return _with_last_axis(result, result.shape[-1] * block)


def _block(length: int, channels: int, reach: int) -> int:
    """How many neighbours along an axis of `length` count as channels, if a kernel reaches `reach` voxels far."""
    block = 1
    while 2 * block * channels <= _FILLED and length % (2 * block) == 0:
        block *= 2
    return block if block >= reach else 1


def _with_last_axis(values: Tensor, length: int) -> Tensor:
    """(B, C, W, H, D) as (B, C · D / length, W, H, length): the voxels of a block are channels, in their order."""
    innermost = values.permute(0, 2, 3, 4, 1)
    return innermost.reshape(*innermost.shape[:3], length, -1).permute(0, 4, 1, 2, 3)


def _folded(weight: Tensor, block: int) -> Tensor:
    """Kernels (K, C, w, h, d) as (block · K, block · C, w, h, blocks that a kernel of any voxel reaches)."""
    outputs, inputs, w, h, d = weight.shape
    places = _places(block, d)
    # The place behind the last one has a weight of 0.
    chosen = functional.pad(weight, (0, 1)).index_select(-1, places.flatten().to(weight.device))
    return (
        chosen.view(outputs, inputs, w, h, *places.shape)
        .permute(4, 0, 5, 1, 2, 3, 6)
        .reshape(block * outputs, block * inputs, w, h, -1)
    )


def _places(block: int, length: int) -> Tensor:
    """The place in a kernel of `length` by which voxel i of a block beside has a term in voxel j: (j, i, blocks).

    It is `length` where there is no term.
    """
    blocks = 3 if length > 1 else 1
    into, voxel, beside = torch.meshgrid(*(torch.arange(size) for size in (block, block, blocks)), indexing="ij")
    places = voxel - into + block * (beside - blocks // 2) + length // 2
    return places.where((places >= 0) & (places < length), length)
