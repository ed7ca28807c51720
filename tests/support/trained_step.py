"""A forward and a backward pass of a network, as a training makes them."""

import torch
from torch import nn

from activelabel.training.cpu_layers import with_cpu_layers


def assert_it_trains(network: nn.Module, channels_last: bool, precision: torch.dtype) -> None:
    """Check that each weight has a finite gradient after a pass in this layout and precision."""
    if channels_last:
        network = with_cpu_layers(network)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision is torch.bfloat16):
        logits = network.train()(torch.randn(2, 1, 8, 8, 8))
    logits.float().square().mean().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in network.parameters())
