"""A training in its plainest form, for benchmarks that need a network which has learnt something."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from activelabel.prediction.devices.precision import choose_precision

Example = tuple[Tensor, Tensor]
"""An image and its label, each `(1, *window_size)`."""


def learn(
    network: nn.Module,
    batches: Iterable[Sequence[Example]],
    loss: Callable[[Tensor, Tensor], Tensor],
    learning_rate: float,
) -> nn.Module:
    """Train a network on a CPU by one step of Adam a batch, in bfloat16 where that is faster; return the network."""
    optimiser = torch.optim.Adam(network.parameters(), learning_rate)
    low_precision = choose_precision("auto", torch.device("cpu")).dtype == torch.bfloat16
    for batch in batches:
        images, labels = (torch.stack(tensors) for tensors in zip(*batch, strict=True))
        with torch.autocast("cpu", torch.bfloat16, enabled=low_precision):
            logits = network(images)
        optimiser.zero_grad()
        loss(logits.float(), labels).backward()
        optimiser.step()
    return network
