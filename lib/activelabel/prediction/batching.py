"""The number of windows and repeats that go through the network at once, halved when memory does not suffice."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from activelabel.errors import InvalidInputError
from activelabel.out_of_memory import has_no_engine, is_out_of_memory

logger = logging.getLogger(__name__)

# On a CPU, more voxels than this at once gain nothing; fewer leave the cores idle between layers. Two windows are
# better than one, however large: in float32, torch has a slow convolution for batches of one.
_CPU_VOXELS = 3 << 18
_CPU_SMALLEST_BATCH = 2
# A generous estimate of what a 3D U-Net takes on a GPU; the halving below does the rest.
_GPU_BYTES_PER_VOXEL = 1024
_GPU_LARGEST_BATCH = 64
# So many voxels keep any GPU busy. With 64 channels they are half of what fits into the 31 bits by which some of
# torch's kernels count, and which a batch that fills a large GPU would exceed.
_GPU_MOST_VOXELS = 1 << 24


@dataclass(frozen=True)
class Job:
    """One forward pass: each of `windows` (numbers in the grid) in each of `repeats`."""

    windows: tuple[int, ...]
    repeats: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.windows) * len(self.repeats)

    def halves(self) -> tuple["Job", "Job"]:
        """The same work as two jobs; `len` must be 2 or more."""
        if len(self.repeats) > 1:
            middle = len(self.repeats) // 2
            return Job(self.windows, self.repeats[:middle]), Job(self.windows, self.repeats[middle:])
        middle = len(self.windows) // 2
        return Job(self.windows[:middle], self.repeats), Job(self.windows[middle:], self.repeats)


class BatchLimit:
    """The largest number of items that go through the network at once; it stays lower once memory did not suffice."""

    def __init__(self, window_voxels: int, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            free_bytes, _ = torch.cuda.mem_get_info(device)
            # What torch keeps for its next values is free as well.
            kept_bytes = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
            self.items = gpu_items(window_voxels, free_bytes + kept_bytes)
        else:
            self.items = max(_CPU_VOXELS // window_voxels, _CPU_SMALLEST_BATCH)

    def jobs(self, windows: list[int], repeats: range) -> Iterator[Job]:
        """Jobs of all `windows` with all `repeats`, as many windows in each as the limit allows."""
        at_once = max(self.items // len(repeats), 1)
        for first in range(0, len(windows), at_once):
            yield Job(tuple(windows[first : first + at_once]), tuple(repeats))

    def run(self, jobs: Iterable[Job], forward: Callable[[Job], Tensor]) -> Iterator[tuple[Job, Tensor]]:
        """Each job, or the parts that it was split into, with the result of `forward`.

        When memory runs out, the limit is halved for good, with a warning, and the job runs again in halves.

        Raises:
            InvalidInputError: one window alone does not fit.
        """
        waiting = deque(jobs)
        while waiting:
            job = waiting.popleft()
            if 1 < len(job) > self.items:
                waiting.extendleft(reversed(job.halves()))
                continue
            try:
                result = forward(job)
            except (MemoryError, RuntimeError) as error:
                may_fit_in_parts = len(job) > 1 and has_no_engine(error)
                if not may_fit_in_parts and not is_out_of_memory(error, self._device):
                    raise
                problem = str(error).partition("\n")[0]
            else:
                yield job, result
                continue
            # This is outside of the handler, whose traceback would keep the failed pass in memory.
            if len(job) == 1:
                raise InvalidInputError(
                    f"window_size: a single window does not fit into memory ({problem}); choose a smaller window"
                )
            self.items = len(job) // 2
            logger.warning("out of memory with %d windows at once, going on with %d", len(job), self.items)
            waiting.appendleft(job)


def gpu_items(window_voxels: int, free_bytes: int) -> int:
    """How many windows go through a network at once on a GPU with so much free memory: 1 or more."""
    fitting = free_bytes // 2 // (_GPU_BYTES_PER_VOXEL * window_voxels)
    return max(min(fitting, _GPU_LARGEST_BATCH, _GPU_MOST_VOXELS // window_voxels), 1)
