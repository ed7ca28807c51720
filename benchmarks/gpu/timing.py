"""Time and memory on a device, for `run.py`."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

Row = dict[str, Any]
"""One line of the result: texts say what was measured, numbers are what came out."""


def _nobody(name: str, why: str) -> None:
    """Tell nobody what is left out."""


@dataclass(frozen=True)
class Conditions:
    """Where and for how long is measured.

    Attributes:
        device: what is measured.
        small: whether the script itself is tried, with small windows and single runs.
        deadline: when no new measurement begins, in seconds of `time.monotonic`.
        leave_out: called with the name of what is left out, and why.
    """

    device: torch.device
    small: bool
    deadline: float
    leave_out: Callable[[str, str], None] = _nobody

    @property
    def left(self) -> float:
        """The seconds that are left."""
        return self.deadline - time.monotonic()

    def reaches(self, name: str) -> bool:
        """Whether there is time for one more measurement; if not, it is left out."""
        if self.left > 0:
            return True
        self.leave_out(name, "no time is left")
        return False

    def share(self, of: int) -> "Conditions":
        """The same with the first of `of` equal shares of the time that is left."""
        return replace(self, deadline=time.monotonic() + max(self.left, 0) / of)

    def seconds_of(self, work: Callable[[], object], most: float = 1.0) -> float:
        """Median seconds of up to ten runs of `work`, each waited for, after two that do not count.

        After `most` seconds no further run begins. If small, it is one run without a warm-up.
        """
        warm_up, repeats = (0, 1) if self.small else (2, 10)
        taken: list[float] = []
        for number in range(warm_up + repeats):
            synchronise(self.device)
            begun = time.perf_counter()
            work()
            synchronise(self.device)
            if number >= warm_up:
                taken.append(time.perf_counter() - begun)
            if taken and sum(taken) > most:
                break
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


def bandwidth(conditions: Conditions) -> float:
    """The bytes a second that a copy within the device's memory reads and writes."""
    values = torch.zeros(1 << (20 if conditions.small else 28), device=conditions.device)
    into = torch.empty_like(values)
    return 2 * values.nbytes / conditions.seconds_of(lambda: into.copy_(values))
