"""What this processor can do, as far as it decides which of two ways to compute the same is the faster one.

The choice follows from the hardware, and is not measured when a program runs: two trainings on one machine go the same
way, to the same weights.
"""

import functools
from pathlib import Path

import torch

BFLOAT16_FLAGS = ("amx_bf16", "avx512_bf16")
_CPU_FLAGS_FILE = Path("/proc/cpuinfo")


def cpu_flags() -> set[str]:
    """The processor's feature flags; empty where the operating system does not list them."""
    if not _CPU_FLAGS_FILE.is_file():
        return set()
    for line in _CPU_FLAGS_FILE.read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("flags"):
            return set(line.partition(":")[2].split())
    return set()


@functools.cache
def multiplies_tiles() -> bool:
    """Whether torch multiplies matrices of bfloat16 as tiles (AMX): eight times as many numbers at once as float32.

    Processors that have bfloat16 only in vectors (AVX512-BF16) compute about as fast in float32.
    """
    return "amx_bf16" in cpu_flags() and torch.backends.mkldnn.is_available()


def has_wide_vectors() -> bool:
    """Whether torch computes with vectors of 512 bits (AVX-512)."""
    return torch.backends.cpu.get_cpu_capability() == "AVX512"


@functools.cache
def convolves_each_fast(dtype: torch.dtype) -> bool:
    """Whether torch is fast here at 3D convolutions of each channel by itself, with values of `dtype`.

    It is by AVX-512; bfloat16 has to be native as well.
    """
    native = dtype == torch.float32 or not cpu_flags().isdisjoint(BFLOAT16_FLAGS)
    return native and has_wide_vectors()
