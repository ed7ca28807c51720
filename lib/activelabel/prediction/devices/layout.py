"""Networks whose values keep their channels innermost in memory, as fast convolutions need them."""

import copy
import functools
import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.autograd import Function
from torch.nn import functional

from activelabel.networks.smoothing import Smooth
from activelabel.prediction.devices.folding import FoldedConvolution, is_foldable
from activelabel.prediction.devices.processor import convolves_each_fast
from activelabel.prediction.devices.thin_upsampling import (
    RepeatedThinUpsampling,
    ThinUpsampling,
    is_thin,
    is_thin_repeated,
)

# With fewer channels, torch's batch normalisation is slow in this layout.
_LEAST_CHANNELS = 16


def channels_last_copy(network: nn.Module, device: torch.device) -> nn.Module:
    """A copy of `network` on `device`, in evaluation mode, with the same output up to rounding.

    On a CPU, its instance normalisations are replaced: torch's own puts the channels outermost, so that each
    normalisation would copy the values there and back; smoothing goes item by item, and convolutions to few channels
    have a faster way. The state of the copy has the same names and shapes.
    """
    network = copy.deepcopy(network).to(device).eval()
    if device.type == "cpu":
        keep_layout_at_norms(network)
        smooth_item_by_item(network)
        replace_thin_layers(network)
    network.to(memory_format=torch.channels_last_3d)
    return network


def keep_layout_at_norms(network: nn.Module) -> None:
    """Replace the instance normalisations of `network` that have no running statistics; its state stays as it is."""
    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, nn.InstanceNorm3d) and not layer.track_running_stats:
                setattr(parent, name, ChannelsLastInstanceNorm(layer))


def smooth_item_by_item(network: nn.Module) -> None:
    """Replace the layers of `network` that smooth with strides of 1 and 2, and repeat the outermost voxels."""
    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            if type(layer) is Smooth and layer.repeats and set(layer.stride) <= {1, 2}:
                setattr(parent, name, ItemwiseSmooth(layer.stride))


def replace_thin_layers(network: nn.Module) -> None:
    """Replace the convolutions of `network` to few channels, see `folding` and `thin_upsampling`.

    Its state stays as it is.
    """
    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            if is_foldable(layer):
                setattr(parent, name, FoldedConvolution(layer))
            elif is_thin(layer):
                setattr(parent, name, ThinUpsampling(layer))
            elif is_thin_repeated(layer):
                setattr(parent, name, RepeatedThinUpsampling(layer))


class ItemwiseSmooth(Smooth):
    """A `Smooth` in less time: see `smoothed_items`."""

    def forward(self, values: Tensor) -> Tensor:
        """`values`, smoothed."""
        return smoothed_items(values, self.stride)


@fx.wrap
def smoothed_items(values: Tensor, stride: tuple[int, ...]) -> Tensor:
    """The weights 1, 2, 1, divided by 4, along each axis with a stride of 2; the outermost voxels repeated.

    With many channels innermost in memory it is a convolution of each by itself, in half of the time, on a processor
    with AVX-512; with AVX2 torch has none that is not a thousand times slower. Else it goes item by item, whose sums
    stay in a processor's cache: its memory would otherwise cost more than its additions.
    """
    axes = [axis for axis, step in enumerate(stride, start=2) if step == 2]
    if not axes:
        return values
    if _is_wide(values) and convolves_each_fast(values.dtype):
        return smoothed_at_once(values, stride)
    return smoothed_by_axis(values, axes)


def _is_wide(values: Tensor) -> bool:
    """Whether a convolution of each channel by itself pays, if it is fast at all."""
    innermost = values.is_contiguous(memory_format=torch.channels_last_3d)
    return innermost and values.shape[1] % _LEAST_CHANNELS == 0 and not torch.is_grad_enabled()


def smoothed_at_once(values: Tensor, stride: tuple[int, ...]) -> Tensor:
    """`smoothed_items`, all axes at once."""
    sides = [int(step == 2) for step in reversed(stride) for _ in range(2)]  # torch begins with the last axis
    kernel = functools.reduce(operator.mul, (_weights_along(axis, step) for axis, step in enumerate(stride)))
    channels = values.shape[1]
    kernels = kernel.to(values).expand(channels, 1, *kernel.shape)
    kernels = kernels.contiguous(memory_format=torch.channels_last_3d)
    smoothed = torch.conv3d(functional.pad(values, sides, mode="replicate"), kernels, groups=channels)
    return smoothed.to(values.dtype)  # autocast has its own


def _weights_along(axis: int, step: int) -> Tensor:
    weights = torch.tensor([0.25, 0.5, 0.25] if step == 2 else [1.0])
    return weights.view([-1 if other == axis else 1 for other in range(3)])


def smoothed_by_axis(values: Tensor, axes: Sequence[int]) -> Tensor:
    """`smoothed_items`, item by item, along one of `axes` after the other."""
    result = torch.empty_like(values)
    for item, into in zip(values.split(1), result.split(1), strict=True):
        for axis in axes[:-1]:
            item = _one_two_one(item, axis, torch.empty_like(item))
        _one_two_one(item, axes[-1], into).mul_(0.25 ** len(axes))
    return result


def _one_two_one(values: Tensor, axis: int, into: Tensor) -> Tensor:
    """Each value twice and its two neighbours, written into `into`."""
    length = values.shape[axis]
    if length == 1:
        return torch.mul(values, 4, out=into)
    pairs = values.narrow(axis, 0, length - 1) + values.narrow(axis, 1, length - 1)
    torch.add(
        pairs.narrow(axis, 0, length - 2), pairs.narrow(axis, 1, length - 2), out=into.narrow(axis, 1, length - 2)
    )
    for end, pair in ((0, 0), (length - 1, length - 2)):
        ends = pairs.narrow(axis, pair, 1), values.narrow(axis, end, 1)
        torch.add(*ends, alpha=2, out=into.narrow(axis, end, 1))
    return into


class ChannelsLastInstanceNorm(nn.Module):
    """An `nn.InstanceNorm3d` without running statistics whose result has the channels innermost."""

    def __init__(self, layer: nn.InstanceNorm3d) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = layer.weight, layer.bias, layer.eps

    def forward(self, values: Tensor) -> Tensor:
        """Normalise each channel of each item `(B, C, W, H, D)` to mean 0, variance 1; then apply weights, if any."""
        return instance_norm(values, self.weight, self.bias, self.eps)


@fx.wrap
def instance_norm(values: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """Instance normalisation, computed as batch normalisation of a batch of one, which keeps the layout."""
    if values.shape[1] < _LEAST_CHANNELS:
        normalised = torch.instance_norm(values, weight, bias, None, None, True, 0.0, eps, False)
        innermost: Tensor = _Innermost.apply(normalised)
        return innermost
    if len(values) > 1 and not torch.is_grad_enabled():
        return _norm_of_items(values, weight, bias, eps)
    items = [torch.batch_norm(item, weight, bias, None, None, True, 0.0, eps, False) for item in values.split(1)]
    return torch.cat(items) if len(items) > 1 else items[0]


def _norm_of_items(values: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """`instance_norm` without a gradient: each item is written to its place; a copy would cost half as much again."""
    result = torch.empty_like(values)
    dtype = values.dtype if weight is None else weight.dtype
    means, scales = (values.new_empty(values.shape[1], dtype=dtype) for _ in range(2))
    for item, into in zip(values.split(1), result.split(1), strict=True):
        torch.ops.aten.native_batch_norm.out(
            item, weight, bias, None, None, True, 0.0, eps, out=into, save_mean=means, save_invstd=scales
        )
    return result


class _Innermost(Function):
    """The channels innermost in memory, and outermost in the gradient.

    Torch's instance normalisation of a batch of one reads a gradient with channels innermost as if they were outermost.
    """

    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        return values.contiguous(memory_format=torch.channels_last_3d)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return gradient.contiguous()
