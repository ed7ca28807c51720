"""A forward and a backward pass of a network, as a training makes them."""

import torch
from torch import Tensor, nn

from activelabel.training.cpu_layers import with_cpu_layers


def assert_it_trains(network: nn.Module, channels_last: bool, precision: torch.dtype) -> None:
    """Check that each weight has a finite gradient after a pass in this layout and precision."""
    if channels_last:
        network = with_cpu_layers(network)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision is torch.bfloat16):
        logits = network.train()(torch.randn(2, 1, 8, 8, 8))
    logits.float().square().mean().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in network.parameters())


def output_and_gradients(layer: nn.Module, values: Tensor, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """What a layer makes of values under autocast to a type, and the gradients of the values and of its parameters."""
    own = values.clone().requires_grad_()
    with torch.autocast("cpu", dtype, enabled=dtype is not torch.float32):
        output = layer(own)
    assert output.dtype is dtype
    weights = torch.linspace(-1, 1, output.numel()).view(output.shape)
    return [output, *torch.autograd.grad((output.float() * weights).sum(), [own, *layer.parameters()])]


def assert_the_same_in_bfloat16(plain: nn.Module, other: nn.Module, values: Tensor) -> None:
    """Check `other` in bfloat16 against `plain` in float32: output and gradients are the same up to rounding."""
    found = output_and_gradients(plain, values), output_and_gradients(other, values, torch.bfloat16)
    for expected, got in zip(*found, strict=True):
        torch.testing.assert_close(got.float(), expected, rtol=0, atol=0.02 * expected.abs().max().item())
