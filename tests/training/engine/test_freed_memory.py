"""Memory that is freed stays with the process: the same block again costs no page fault."""

import resource

import torch

from activelabel.training.engine.freed_memory import freed_memory_kept

VALUES = 4 << 20  # 16 MiB: 4096 pages


def page_faults(device_type: str) -> int:
    """The page faults of filling a new block four times, after a first time that is not counted."""
    with freed_memory_kept(device_type):
        torch.ones(VALUES)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(4):
            torch.ones(VALUES)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_a_block_that_was_freed_is_taken_again_without_page_faults() -> None:
    assert page_faults("cpu") < 400


def test_memory_goes_back_at_the_end() -> None:
    with freed_memory_kept("cpu"):
        torch.ones(VALUES)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(VALUES)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before > 400
