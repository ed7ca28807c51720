"""Transposed convolutions of a deep level, with many channels and few voxels, for a training on a CPU.

Their gradient is two products of matrices, whose rows are what each voxel has a part in: half to four fifths of the
time of torch's own. In bfloat16 that holds where the processor multiplies tiles.
"""

from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional

from activelabel.prediction.devices.processor import has_wide_vectors, multiplies_tiles
from activelabel.prediction.devices.replaceable import is_plain

_LENGTH, _STRIDE = 3, 2
"""Of a kernel, and of its places, along each axis."""

_MOST_VALUES = 1 << 22
_MOST_VALUES_OF_WIDE_VECTORS = 1 << 20
"""With more values in the matrix of rows, torch's own gradient is as fast; the second for AVX-512."""


def is_deep_upsampling(layer: nn.Module) -> TypeGuard[nn.ConvTranspose3d]:
    """Whether `DeepUpsampling` can replace a layer: one by which each axis doubles, with a kernel of 3."""
    if not is_plain(layer, nn.ConvTranspose3d) or layer.groups != 1 or set(layer.dilation) != {1}:
        return False
    lengths = (layer.kernel_size, layer.stride, layer.padding, layer.output_padding)
    return [set(each) for each in lengths] == [{_LENGTH}, {_STRIDE}, {1}, {1}]


class DeepUpsampling(nn.Module):
    """An `nn.ConvTranspose3d` for which `is_deep_upsampling` holds; where its own gradient is as fast, it is used.

    The bias is added behind the convolution: within that of bfloat16, its gradient takes as long as the other two.
    """

    def __init__(self, layer: nn.ConvTranspose3d) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, values: Tensor) -> Tensor:
        """`values` (B, C, *S), upsampled to (B, K, *2S)."""
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else values.dtype
        values, weight = values.to(dtype), self.weight.to(dtype)
        rows = values.numel() // values.shape[1] * weight[0].numel()
        if rows <= most_values(dtype):
            upsampled: Tensor = _Upsampled.apply(values, weight)
        else:
            upsampled = torch.conv_transpose3d(values, weight, None, _STRIDE, 1, 1)
        return upsampled if self.bias is None else upsampled + self.bias.to(dtype).view(-1, 1, 1, 1)


def most_values(dtype: torch.dtype) -> int:
    """The most values in a matrix of rows with which its products are faster than torch's own gradient."""
    if dtype is torch.float32:
        return _MOST_VALUES_OF_WIDE_VECTORS if has_wide_vectors() else _MOST_VALUES
    return _MOST_VALUES_OF_WIDE_VECTORS if dtype is torch.bfloat16 and multiplies_tiles() else 0


class _Upsampled(Function):
    @staticmethod
    def forward(context: Any, values: Tensor, weight: Tensor) -> Tensor:
        context.save_for_backward(values, weight)
        return torch.conv_transpose3d(values, weight, None, _STRIDE, 1, 1)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        values, weight = context.saved_tensors
        # Place k of the kernel takes voxel i to 2i - 1 + k: the voxels of an odd place before the first are 0.
        padded = functional.pad(gradient.movedim(1, -1), (0, 0, 1, 0, 1, 0, 1, 0))
        seen = padded.unfold(1, _LENGTH, _STRIDE).unfold(2, _LENGTH, _STRIDE).unfold(3, _LENGTH, _STRIDE)
        size = seen.shape[:4]
        rows = seen.movedim(4, -1).reshape(size.numel(), -1)
        kernels = weight.movedim(1, -1).reshape(len(weight), -1)
        of_values = (rows @ kernels.t()).view(*size, -1).movedim(-1, 1)
        of_weight = values.movedim(1, -1).reshape(len(rows), -1).t() @ rows
        return of_values, of_weight.view(len(weight), *weight.shape[2:], -1).movedim(-1, 1)
