"""Transposed convolutions with few output channels, as the finest level of a network has them, for a CPU.

Torch computes many output channels at once. With the two or three classes of the finest level, its convolution takes
1.3 to 3 times as long as one matrix product, whose rows are then summed between neighbours. In bfloat16 these sums
would be rounded four times, to an error of nearly twice that of the convolution, and a processor that multiplies tiles
does the convolution in two thirds of the time or less: so there it is left to torch.
"""

from collections.abc import Sequence
from typing import Any, TypeGuard

import torch
from torch import Tensor, fx, nn
from torch.autograd import Function

from activelabel.networks.padding import RepeatedTranspose
from activelabel.prediction.devices.replaceable import is_plain

MOST_CHANNELS = 8
"""With more output channels, torch's own transposed convolution is as fast."""

_DOUBLED = (3, 2, 1, 1)
_KEPT = (1, 1, 0, 0)
"""Kernel, stride, padding and output padding along an axis whose length doubles, and along one that stays as it is."""


def is_thin(layer: nn.Module) -> TypeGuard[nn.ConvTranspose3d]:
    """Whether `ThinUpsampling` can replace a layer: one by which each axis doubles, or stays without a kernel."""
    if not is_plain(layer, nn.ConvTranspose3d) or layer.out_channels > MOST_CHANNELS or layer.groups != 1:
        return False
    axes = set(zip(layer.kernel_size, layer.stride, layer.padding, layer.output_padding, strict=True))
    return _DOUBLED in axes and axes <= {_DOUBLED, _KEPT} and set(layer.dilation) == {1}


class ThinUpsampling(nn.Module):
    """An `nn.ConvTranspose3d` for which `is_thin` holds."""

    def __init__(self, layer: nn.ConvTranspose3d) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self._doubled = [axis for axis, length in enumerate(layer.kernel_size) if length == _DOUBLED[0]]

    def forward(self, values: Tensor) -> Tensor:
        """`values` (B, C, *S), upsampled."""
        return thinly_upsampled(values, self.weight, self.bias, self._doubled)


def is_thin_repeated(layer: nn.Module) -> TypeGuard[RepeatedTranspose]:
    """Whether `RepeatedThinUpsampling` can replace a layer."""
    if type(layer) is not RepeatedTranspose or layer.weight.shape[1] > MOST_CHANNELS:
        return False
    axes = set(zip(layer.weight.shape[2:], layer.stride, strict=True))
    return _DOUBLED[:2] in axes and axes <= {_DOUBLED[:2], _KEPT[:2]}


class RepeatedThinUpsampling(RepeatedTranspose):
    """A `RepeatedTranspose` for which `is_thin_repeated` holds."""

    def __init__(self, layer: RepeatedTranspose) -> None:
        nn.Module.__init__(self)  # all that the class itself computes from a transposed convolution is there already
        self.weight, self.bias, self.stride = layer.weight, layer.bias, layer.stride
        self._beyond, self._repeated = layer._beyond, layer._repeated
        self._doubled = [axis for axis, step in enumerate(layer.stride) if step == _DOUBLED[1]]
        # The first voxel of the longer axes is left out, in which only the first one of the input has a term.
        self._first = [first - (step == _DOUBLED[1]) for first, step in zip(layer._first, layer.stride, strict=True)]

    def upsampled(self, repeated: Tensor) -> Tensor:
        """As in `RepeatedTranspose`, without the first voxel and with the next one behind the last."""
        return thinly_upsampled(repeated, self.weight, self.bias, self._doubled)


@fx.wrap
def thinly_upsampled(values: Tensor, weight: Tensor, bias: Tensor | None, doubled: Sequence[int]) -> Tensor:
    """`values` (B, C, *S) through the kernels `weight` (C, K, *kernel), plus `bias`: (B, K, *S) with `doubled` axes."""
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else values.dtype
    values, weight = values.to(dtype), weight.to(dtype)
    if dtype is torch.bfloat16:
        # The bias is added below: within the convolution, its gradient takes half as long again.
        stride, padding, more = _lengths(doubled)
        upsampled = torch.conv_transpose3d(values, weight, None, stride, padding, more)
    else:
        upsampled = _Upsampled.apply(values, weight, doubled)
    return upsampled if bias is None else upsampled + bias.to(dtype).view(-1, 1, 1, 1)


def _lengths(doubled: Sequence[int]) -> list[tuple[int, ...]]:
    """Stride, padding and output padding along the three axes."""
    return list(zip(*(_DOUBLED[1:] if axis in doubled else _KEPT[1:] for axis in range(3)), strict=True))


class _Upsampled(Function):
    """The convolution as a matrix product and sums of neighbours; torch's own gradient, which takes no longer."""

    @staticmethod
    def forward(context: Any, values: Tensor, weight: Tensor, doubled: Sequence[int]) -> Tensor:
        """`values` (B, C, *S) through the kernels `weight` (C, K, *kernel), to (B, K, *S) with `doubled` axes."""
        context.save_for_backward(values, weight)
        context.doubled = doubled
        channels, outputs = weight.shape[:2]
        rows = weight.permute(2, 3, 4, 1, 0).reshape(-1, channels)
        kernel = [weight.shape[2 + axis] for axis in doubled]
        size = [length * (2 if axis in doubled else 1) for axis, length in enumerate(values.shape[2:])]
        result = values.new_empty((len(values), outputs, *size))
        # Item by item, what is in between has a size that does not grow with the batch.
        for item, into in zip(values, result, strict=True):
            terms = (rows @ item.permute(1, 2, 3, 0).reshape(-1, channels).t()).view(*kernel, outputs, *item.shape[1:])
            for axis in doubled[:-1]:
                terms = _interleaved(terms, axis - 3)
            _interleaved(terms, doubled[-1] - 3, into)
        return result

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        """The gradients of values and of kernels."""
        values, weight = context.saved_tensors
        stride, padding, more = _lengths(context.doubled)
        of_values, of_weight, _ = torch.ops.aten.convolution_backward(
            gradient, values, weight, None, stride, padding, [1, 1, 1], True, more, 1, [True, True, False]
        )
        return of_values, of_weight, None


def _interleaved(terms: Tensor, axis: int, into: Tensor | None = None) -> Tensor:
    """The sums of the terms (3, …) of the places of a kernel, twice as long along `axis`, which counts from the end.

    Place 1 of the kernel gives the voxels 2i of the result, place 2 the next ones, and place 0 the ones before. They
    are written `into` a tensor, if one is given.
    """
    before, at, after = terms
    place, more = at.dim() + axis, at.shape[axis] - 1
    if into is None:
        into = at.new_empty((*at.shape[:place], 2 * at.shape[place], *at.shape[place + 1 :]))
    even, odd = into.unflatten(place, (-1, 2)).unbind(place + 1)
    even.copy_(at)
    odd.narrow(place, more, 1).copy_(after.narrow(place, more, 1))
    torch.add(after.narrow(place, 0, more), before.narrow(place, 1, more), out=odd.narrow(place, 0, more))
    return into
