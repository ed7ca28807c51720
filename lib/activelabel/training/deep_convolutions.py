"""Convolutions of a deep level, which has many channels and few voxels, of a batch of one on a CPU.

Torch has a slow convolution for these in float32: it puts the channels outermost, and its gradients back. In bfloat16
it brings weights of many channels into another order and back, which takes longer than to multiply them as tiles. With
the channels innermost in memory, the voxels that a kernel sees are rows of a matrix that is copied in long pieces, and
weights and gradients are matrices as they are: a step takes half to three quarters of the time.
"""

import math
from collections.abc import Sequence
from itertools import product
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional

from activelabel.prediction.devices.processor import multiplies_tiles
from activelabel.prediction.devices.replaceable import is_plain

LEAST_CHANNELS = 64
"""With fewer channels, the pieces that are copied are too short to gain anything."""

_MANY_CHANNELS = 128
"""In bfloat16 the weights of fewer channels are quickly brought into another order."""

_SLOW_VALUES = 20480
"""Torch's slow convolution is for a batch of one with at most as many values in a slice across the last axis."""

_FEW_VOXELS = 256
"""Of a result: for as many, what kernels see is a smaller matrix than the weights are, in bfloat16."""

_LENGTH = 3
"""Of a kernel, along each axis."""


def is_deep(layer: nn.Module) -> TypeGuard[nn.Conv3d]:
    """Whether `DeepConvolution` can replace a layer."""
    if not is_plain(layer, nn.Conv3d) or layer.in_channels < LEAST_CHANNELS or layer.groups != 1:
        return False
    is_usual = set(layer.kernel_size) == {_LENGTH} and tuple(layer.padding) == (1, 1, 1) and set(layer.dilation) == {1}
    return is_usual and layer.padding_mode == "zeros"


class DeepConvolution(nn.Module):
    """An `nn.Conv3d` for which `is_deep` holds; where torch's own is not slow, it is used."""

    def __init__(self, layer: nn.Conv3d) -> None:
        super().__init__()
        self.weight, self.bias, self.stride = layer.weight, layer.bias, layer.stride
        self.in_channels = layer.in_channels

    def forward(self, values: Tensor) -> Tensor:
        """`values` (B, C, *S), convolved to (B, K, *S)."""
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else values.dtype
        if not self._is_slow(values, dtype):
            return functional.conv3d(values, self.weight, self.bias, self.stride, padding=1)
        convolved: Tensor = _Convolved.apply(values.to(dtype), self.weight.to(dtype), self.stride)
        return convolved if self.bias is None else convolved + self.bias.to(dtype).view(-1, 1, 1, 1)

    def _is_slow(self, values: Tensor, dtype: torch.dtype) -> bool:
        """Whether torch's own convolution of `values` in a type is slower."""
        if len(values) > 1:
            return False
        if dtype is torch.bfloat16:
            voxels = values.shape[2:].numel() / math.prod(self.stride)
            return voxels <= _FEW_VOXELS and self.in_channels >= _MANY_CHANNELS and multiplies_tiles()
        return dtype is torch.float32 and values.shape[1:4].numel() <= _SLOW_VALUES


class _Convolved(Function):
    """The convolution as a product of what a kernel sees at each voxel of the result, and the kernels."""

    @staticmethod
    def forward(context: Any, values: Tensor, weight: Tensor, stride: tuple[int, ...]) -> Tensor:
        padded = functional.pad(values.movedim(1, -1), (0, 0, 1, 1, 1, 1, 1, 1))
        seen = padded.unfold(1, _LENGTH, stride[0]).unfold(2, _LENGTH, stride[1]).unfold(3, _LENGTH, stride[2])
        size = seen.shape[:4]
        seen = seen.movedim(4, -1).reshape(size.numel(), -1)
        context.save_for_backward(seen, weight)
        context.stride, context.padded = stride, padded.shape
        return (seen @ _rows(weight).t()).view(*size, -1).movedim(-1, 1)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        seen, weight = context.saved_tensors
        gradient = gradient.movedim(1, -1)
        size, gradient = gradient.shape[:4], gradient.reshape(-1, len(weight))
        of_weight = (gradient.t() @ seen).view(len(weight), *weight.shape[2:], -1).movedim(-1, 1)
        of_seen = (gradient @ _rows(weight)).view(*size, *weight.shape[2:], -1)
        of_values = _summed(of_seen, context.padded, context.stride)
        return of_values[:, 1:-1, 1:-1, 1:-1].movedim(-1, 1), of_weight, None


def _rows(weight: Tensor) -> Tensor:
    """The kernels (K, C, 3, 3, 3) as rows (K, 27 · C), the channels of a place beside each other."""
    return weight.movedim(1, -1).reshape(len(weight), -1)


def _summed(seen: Tensor, shape: Sequence[int], stride: tuple[int, ...]) -> Tensor:
    """For each padded voxel, the sum of what (B, *S, 3, 3, 3, C) has for it: `shape` (B, *S, C).

    It is added up in float32, as torch's own convolution does.
    """
    result = seen.new_zeros(shape, dtype=torch.float32)
    for place in product(range(_LENGTH), repeat=3):
        w, h, d = (
            slice(first, first + step * (count - 1) + 1, step)
            for first, step, count in zip(place, stride, seen.shape[1:4], strict=True)
        )
        x, y, z = place
        result[:, w, h, d] += seen[..., x, y, z, :]
    return result.to(seen.dtype)
