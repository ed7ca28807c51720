"""Memory that a step frees is there for the next one without new pages, counted by the system in its own process."""

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
import torch
from activelabel.prediction.freed_memory import keep_freed_memory

kept = keep_freed_memory() if sys.argv[1] == "kept" else False
torch.set_num_threads(1)
layers = [torch.nn.Conv3d(width, 16, 3, padding=1) for width in (1, 16, 16)]
network, image = torch.nn.Sequential(*layers), torch.rand(2, 1, 40, 48, 32)

def step():
    network.zero_grad()
    network(image).square().mean().backward()

step()
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    step()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> tuple[str, int]:
    command = [sys.executable, "-c", SCRIPT, how]
    kept, count = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout.split()
    return kept, int(count)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be asked to keep what is freed")
def test_memory_of_a_step_is_used_again_by_the_next() -> None:
    (_, given_back), (kept, few) = faults("given back"), faults("kept")
    assert kept == "True"
    assert few < given_back / 4
