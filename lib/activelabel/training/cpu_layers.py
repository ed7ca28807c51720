"""Layers that train faster on a CPU than torch's own, with the same function, for networks with channels innermost."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional

from activelabel.networks.smoothing import Smooth
from activelabel.prediction.devices.layout import keep_layout_at_norms, replace_thin_layers
from activelabel.prediction.dropout import draw_kept
from activelabel.training.deep_convolutions import DeepConvolution, is_deep
from activelabel.training.deep_upsampling import DeepUpsampling, is_deep_upsampling
from activelabel.training.image_convolutions import ImageConvolution, is_of_image


def with_cpu_layers(network: nn.Module) -> nn.Module:
    """The same `network`, changed in place: some of its layers replaced, channels innermost.

    Names and shapes of its state stay the same. Torch's instance normalisation copies values to another layout and
    back, its dropout draws a 32-bit number for each value in a single thread, the gradient of its PReLU is written out
    value by value before it is summed, and that of a smoothed upsampling goes through a dozen copies. For
    convolutions to few channels see `folding` and `thin_upsampling`, for those of deep levels `deep_convolutions` and
    `deep_upsampling`, for the first ones `image_convolutions`.
    """
    keep_layout_at_norms(network)
    replace_thin_layers(network)
    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            quick = _quick(layer)
            if quick is not None:
                setattr(parent, name, quick)
    return network.to(memory_format=torch.channels_last_3d)


def _quick(layer: nn.Module) -> nn.Module | None:
    if type(layer) is nn.Dropout:
        return QuickDropout(layer.p)
    if type(layer) is nn.PReLU and layer.weight.numel() == 1:
        return QuickPReLU(layer)
    if type(layer) is Smooth and layer.repeats and set(layer.stride) <= {1, 2}:
        return QuickSmooth(layer.stride)
    if is_deep(layer):
        return DeepConvolution(layer)
    if is_deep_upsampling(layer):
        return DeepUpsampling(layer)
    if is_of_image(layer):
        return ImageConvolution(layer)
    return None


class QuickDropout(nn.Dropout):
    """`nn.Dropout` with masks of bytes, from a stream whose seed comes from torch's generator."""

    def forward(self, values: Tensor) -> Tensor:
        """In training, each value becomes 0 with probability `p`, else it is divided by 1 − p; in evaluation it stays.

        `values` (B, C, *S) in any layout.
        """
        if not self.training or self.p in (0.0, 1.0):
            return super().forward(values)
        stream = np.random.SFC64(int(torch.randint(2**62, ()).item()))
        kept = torch.empty((values.shape[0], *values.shape[2:], values.shape[1]), dtype=torch.int8)
        draw_kept(stream, self.p, out=kept.numpy().reshape(-1).view(np.bool_))
        factor = 1 / (1 - self.p)
        mask = kept.to(values.dtype).movedim(-1, 1)
        if float(mask.new_tensor(factor)) == factor or values.dtype is torch.float32:
            return values * mask.mul_(factor)
        # Within the mask the factor would be rounded to three digits in half precision.
        return (values * mask) * factor


class QuickPReLU(nn.Module):
    """An `nn.PReLU` with one slope for all channels."""

    def __init__(self, layer: nn.PReLU) -> None:
        super().__init__()
        self.weight = layer.weight

    def forward(self, values: Tensor) -> Tensor:
        """`values` where they are above 0, and times the slope elsewhere."""
        activated: Tensor = _OneSlope.apply(values, self.weight)
        return activated


class _OneSlope(Function):
    @staticmethod
    def forward(context: Any, values: Tensor, slope: Tensor) -> Tensor:
        context.save_for_backward(values, slope)
        return functional.leaky_relu(values, slope.item())

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        values, slope = context.saved_tensors
        if values.is_contiguous(memory_format=torch.channels_last_3d):
            # Where a skip connection ends, a gradient is some channels of another, which each operation would gather.
            gradient = gradient.contiguous(memory_format=torch.channels_last_3d)
        of_values = torch.ops.aten.leaky_relu_backward(gradient, values, slope.item(), False)
        of_slope = _sum_of_products(gradient, values.clamp_max(0))
        return of_values, of_slope.to(slope.dtype).view(slope.shape)


def _sum_of_products(one: Tensor, other: Tensor) -> Tensor:
    """The sum over all products of values, in float32."""
    innermost = torch.channels_last_3d
    if one.dtype is torch.float32 and all(each.is_contiguous(memory_format=innermost) for each in (one, other)):
        return torch.dot(*(each.movedim(1, -1).flatten() for each in (one, other)))
    return (one * other).sum(dtype=torch.float32)


class QuickSmooth(Smooth):
    """A `Smooth` over strides of 1 and 2 that repeats the outermost voxels."""

    def forward(self, values: Tensor) -> Tensor:
        """`values`, smoothed."""
        smoothed: Tensor = _OneTwoOne.apply(values, self.stride)
        return smoothed


class _OneTwoOne(Function):
    """The weights 1, 2, 1, divided by 4, along each axis with a stride of 2; the outermost voxels repeated.

    As a matrix this is symmetric, so that its gradient is smoothed in the same way.
    """

    @staticmethod
    def forward(context: Any, values: Tensor, stride: tuple[int, ...]) -> Tensor:
        context.stride = stride
        innermost = values.stride(1) == 1 and values.shape[1] > 1
        context.layout = torch.channels_last_3d if innermost else torch.contiguous_format
        return _one_two_one(values, stride)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        # A gradient may be a view whose values are scattered, which each of the sums would read.
        return _one_two_one(gradient.contiguous(memory_format=context.layout), context.stride), None


def _one_two_one(values: Tensor, stride: tuple[int, ...]) -> Tensor:
    axes = [axis for axis, step in enumerate(stride, start=2) if step == 2]
    for axis in axes:
        length = values.shape[axis]
        if length == 1:  # the voxel and its two repetitions
            values = values * 4
            continue
        pairs = values.narrow(axis, 0, length - 1) + values.narrow(axis, 1, length - 1)
        summed = torch.empty_like(values)
        inner = summed.narrow(axis, 1, length - 2)
        torch.add(pairs.narrow(axis, 0, length - 2), pairs.narrow(axis, 1, length - 2), out=inner)
        for end, pair in ((0, 0), (length - 1, length - 2)):
            outer = summed.narrow(axis, end, 1)
            torch.add(pairs.narrow(axis, pair, 1), values.narrow(axis, end, 1), alpha=2, out=outer)
        values = summed
    return values.mul_(0.25 ** len(axes)) if axes else values
