"""Memory that is freed is there again without new pages: counted by the system, in a process of its own."""

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
import torch
from activelabel.prediction.freed_memory import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "kept" else False
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
torch.ones(6 << 20)
before = faults()
for _ in range(8):
    first, second = torch.ones(6 << 20), torch.ones(6 << 20)
    del first, second
print(kept, faults() - before)
"""
PAGES_OF_A_BLOCK = (6 << 20) * 4 // 4096


def faults(how: str) -> tuple[str, int]:
    command = [sys.executable, "-c", SCRIPT, how]
    kept, count = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout.split()
    return kept, int(count)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be asked to keep what is freed")
def test_blocks_of_a_pass_are_used_again() -> None:
    kept, count = faults("kept")
    assert kept == "True"
    assert count < 2 * PAGES_OF_A_BLOCK  # the second block at its first time, and little else
