"""Memory that a step frees is there for the next one without new pages, counted by the system in its own process."""

import os
import platform
import subprocess
import sys

import pytest

from activelabel.prediction.devices.freed_memory import kept_for_training

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

TRAININGS = """
import ctypes
import resource
import types
import psutil
import torch
from activelabel.prediction.devices.freed_memory import keep_freed_memory, more_kept_for_training

psutil.virtual_memory = lambda: types.SimpleNamespace(available=24 << 30)  # whatever else runs on this machine

assert ctypes.CDLL(None).prctl(41, 1, 0, 0, 0) == 0  # PR_SET_THP_DISABLE: a fault for each page of 4 KiB

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [torch.ones(4 << 20) for _ in range(24)]  # of 16 MiB
    del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident_mb():
    about = psutil.Process().memory_info()
    return about.rss - about.shared >> 20  # without the pages of libraries, which the system drops when memory is short

torch.ones(4 << 20)
before = resident_mb()
for _ in range(2):
    keep_freed_memory()  # of a predictor
    faults()
    with more_kept_for_training():
        faults()
        keep_freed_memory()
        # A small block of the library's between those freed may keep a single new one from its place, once.
        inside, kept = min(faults() for _ in range(3)), resident_mb() - before
    print(inside, kept, resident_mb() - before)
"""


needs_glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc can be asked to keep what is freed"
)


@needs_glibc
def test_memory_of_a_step_is_used_again_by_the_next() -> None:
    # Without this, the library itself keeps more of it after each block that it gave back, by chance nearly all.
    fixed = os.environ | {"MALLOC_MMAP_THRESHOLD_": "131072"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=fixed, capture_output=True, encoding="utf-8", check=True)
    given_back, kept, few = done.stdout.split()
    assert kept == "True"
    assert int(few) < int(given_back) / 10


@needs_glibc
def test_each_training_of_a_process_keeps_more_and_gives_it_back() -> None:
    """24 blocks of 16 MiB are 98,304 pages, 128 MB more than what is kept outside of trainings."""
    done = subprocess.run([sys.executable, "-c", TRAININGS], capture_output=True, encoding="utf-8", check=True)
    for line in done.stdout.splitlines():
        inside, kept_mb, left_mb = map(int, line.split())
        assert inside < 1_000
        assert kept_mb > 370
        assert left_mb < 50
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.parametrize(
    ("free_gb", "processes", "kept_mb"), [(24, 1, 2047), (8, 2, 1024), (4, 1, 1024), (1, 2, 256), (0, 1, 256)]
)
def test_trainings_keep_a_quarter_of_what_is_free_together(free_gb: int, processes: int, kept_mb: int) -> None:
    assert kept_for_training(free_gb << 30, processes) == kept_mb << 20
