"""Time and memory on a device, for `gpu.py`."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch


@dataclass
class Conditions:
    """Where and for how long is measured. `not_reached` names what was left out when time was over."""

    device: torch.device
    small: bool
    deadline: float
    not_reached: list[str] = field(default_factory=list)

    def reaches(self, name: str) -> bool:
        """Whether there is time for one more measurement; if not, its name is noted."""
        if time.monotonic() < self.deadline:
            return True
        self.not_reached.append(name)
        return False

    def seconds_of(self, work: Callable[[], object]) -> float:
        """Median seconds of `work` after a warm-up, each run waited for; if small, of one run without."""
        warm_up, repeats = (0, 1) if self.small else (3, 10)
        taken = []
        for number in range(warm_up + repeats):
            synchronise(self.device)
            begun = time.perf_counter()
            work()
            synchronise(self.device)
            if number >= warm_up:
                taken.append(time.perf_counter() - begun)
        return statistics.median(taken)


def synchronise(device: torch.device) -> None:
    """Wait until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_bytes(device: torch.device, work: Callable[[], object]) -> int | None:
    """The most memory that tensors have during `work`; None on a CPU."""
    if device.type != "cuda":
        work()
        return None
    synchronise(device)
    torch.cuda.reset_peak_memory_stats(device)
    work()
    synchronise(device)
    return torch.cuda.max_memory_allocated(device)
