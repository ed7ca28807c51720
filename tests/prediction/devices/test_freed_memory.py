"""Memory that a step frees is there for the next one without new pages, counted by the system in its own process."""

import os
import platform
import subprocess
import sys

import pytest

SCRIPT = """
import ctypes
import resource
import torch
from activelabel.prediction.devices.freed_memory import keep_freed_memory

assert ctypes.CDLL(None).prctl(41, 1, 0, 0, 0) == 0  # PR_SET_THP_DISABLE: a fault for each page of 4 KiB
torch.set_num_threads(1)
layers = [torch.nn.Conv3d(width, 16, 3, padding=1) for width in (1, 16, 16)]
network, image = torch.nn.Sequential(*layers), torch.rand(2, 1, 40, 48, 32)

def step():
    network.zero_grad()
    network(image).square().mean().backward()

def faults():
    step()
    step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults(), keep_freed_memory(), faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be asked to keep what is freed")
def test_memory_of_a_step_is_used_again_by_the_next() -> None:
    # Without this, the library itself keeps more of it after each block that it gave back, by chance nearly all.
    fixed = os.environ | {"MALLOC_MMAP_THRESHOLD_": "131072"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=fixed, capture_output=True, encoding="utf-8", check=True)
    given_back, kept, few = done.stdout.split()
    assert kept == "True"
    assert int(few) < int(given_back) / 10
