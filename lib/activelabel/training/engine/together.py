"""Processes that train one network together, each on a GPU: their shares of the work, and what they exchange."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from activelabel.training.engine.plan import Plan

T = TypeVar("T")


@dataclass(frozen=True)
class Together:
    """The place of a process among those that train together.

    Attributes:
        rank: its number, from 0.
        processes: how many there are.
        devices: the device of each; empty for the plan's.
    """

    rank: int = 0
    processes: int = 1
    devices: tuple[str, ...] = ()

    @property
    def is_first(self) -> bool:
        """Whether this process writes the records of the training."""
        return self.rank == 0

    def device_of(self, plan: Plan) -> torch.device:
        """The device of this process."""
        return torch.device(self.devices[self.rank] if self.devices else plan.device)

    def shared(self, network: nn.Module, device: torch.device) -> nn.Module:
        """The network whose gradients are the means over all processes."""
        if self.processes == 1:
            return network
        return DistributedDataParallel(network, device_ids=None if device.type == "cpu" else [device])

    def part_of(self, items: Sequence[T]) -> list[T]:
        """The items of this process."""
        return list(items[self.rank :: self.processes])

    def gathered(self, found: list[T]) -> list[T]:
        """What all processes have found."""
        if self.processes == 1:
            return found
        parts: list[Any] = [None] * self.processes
        torch.distributed.all_gather_object(parts, found)
        return [item for part in parts for item in part]


ALONE = Together()
"""A process that trains by itself."""
