"""The first convolutions of a network, whose input is an image that needs no gradient, for a training on a CPU.

Torch takes five times as long for the gradient of their kernels as one matrix product of what a kernel sees at each
voxel of the result. Two convolutions from 1 to 32 channels at 96x96x96 voxels take 14 ms for 72.
"""

import math
from collections.abc import Sequence
from itertools import product
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional

from activelabel.prediction.devices.replaceable import is_plain

_MOST_CHANNELS = 4
"""The most channels of an image: with more there is more to copy, and torch itself is fast."""

_MOST_VALUES = 1 << 23
"""The most values in the matrix of what the kernels see: a larger one would take too much memory."""


def is_of_image(layer: nn.Module) -> TypeGuard[nn.Conv3d]:
    """Whether `ImageConvolution` can replace a layer: one with few input channels, as an image has."""
    if not is_plain(layer, nn.Conv3d) or layer.in_channels > _MOST_CHANNELS or layer.groups != 1:
        return False
    return set(layer.dilation) == {1} and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)


class ImageConvolution(nn.Module):
    """An `nn.Conv3d` for which `is_of_image` holds; where its input needs a gradient, torch's own is used."""

    def __init__(self, layer: nn.Conv3d) -> None:
        super().__init__()
        self.weight, self.bias, self.stride, self.padding = layer.weight, layer.bias, layer.stride, layer.padding

    def forward(self, values: Tensor) -> Tensor:
        """`values` (B, C, *S), convolved to (B, K, *S)."""
        convolved = functional.conv3d
        if torch.is_grad_enabled() and not values.requires_grad:
            convolved = _OfImage.apply
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else values.dtype
        bias = None if self.bias is None else self.bias.to(dtype)
        result: Tensor = convolved(values.to(dtype), self.weight.to(dtype), bias, self.stride, self.padding)
        return result


class _OfImage(Function):
    """The convolution, and the gradients of its kernels and its bias."""

    @staticmethod
    def forward(
        context: Any,
        values: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: tuple[int, ...],
        padding: tuple[int, ...],
    ) -> Tensor:
        context.save_for_backward(values, weight)
        context.has_bias, context.stride, context.padding = bias is not None, stride, padding
        return functional.conv3d(values, weight, bias, stride, padding)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[None, Tensor, Tensor | None, None, None]:
        values, weight = context.saved_tensors
        kernel, size = weight.shape[2:], gradient.shape[2:]
        if (values.shape[1] * kernel.numel() + 1) * len(values) * size.numel() > _MOST_VALUES:
            where = context.stride, context.padding, [1] * 3, False, [0] * 3, 1, [False, True, context.has_bias]
            biases = [len(weight)] if context.has_bias else None
            found = torch.ops.aten.convolution_backward(gradient, values, weight, biases, *where)
            return None, found[1], found[2], None, None
        seen = _seen(values, kernel, size, context.stride, context.padding)
        sums = (seen @ gradient.movedim(1, -1).reshape(-1, len(weight))).t()
        of_weight = sums[:, :-1].reshape(weight.shape)
        return None, of_weight, sums[:, -1] if context.has_bias else None, None, None


def _seen(
    values: Tensor, kernel: Sequence[int], size: Sequence[int], stride: Sequence[int], padding: Sequence[int]
) -> Tensor:
    """What a kernel sees of `values` (B, C, *S), and the 1 of a bias: (C · kernel + 1, B · size of the result)."""
    padded = functional.pad(values, [length for length in reversed(padding) for _ in range(2)])
    seen = values.new_empty(values.shape[1] * math.prod(kernel) + 1, len(values), *size)
    for row, (channel, *place) in zip(seen, product(range(values.shape[1]), *map(range, kernel)), strict=False):
        x, y, z = (
            slice(first, first + step * (count - 1) + 1, step)
            for first, step, count in zip(place, stride, size, strict=True)
        )
        row.copy_(padded[:, channel, x, y, z])
    seen[-1] = 1
    return seen.flatten(1)
