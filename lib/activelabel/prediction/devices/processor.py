"""What this processor can do, as far as it decides which of two ways to compute the same is the faster one.

These choices follow from the hardware, and are not measured when a program runs. The precision is, as flags do not tell
it: see `choice`. A project keeps what was measured, so that two of its trainings on one machine go the same way, to the
same weights.
"""

import functools
import os
import platform
from pathlib import Path

import torch

BFLOAT16_FLAGS = ("amx_bf16", "avx512_bf16")
_CPU_FLAGS_FILE = Path("/proc/cpuinfo")
_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
"""Variables of the environment by which oneDNN uses less than a processor can do; the first counts more."""
_LIMITS_WITHOUT_TILES = {
    "sse41",
    "avx",
    "avx2",
    "avx2_vnni",
    "avx2_vnni_2",
    "avx512_core",
    "avx512_core_vnni",
    "avx512_core_bf16",
    "avx512_core_fp16",
    "avx10_1_512",
}
"""Values of these by which it multiplies no tiles; it heeds no case, and ignores what it does not know."""


def cpu_flags() -> set[str]:
    """The processor's feature flags; empty where the operating system does not list them."""
    return set(_listed("flags").split())


def processor_name() -> str:
    """The processor, and what else decides how fast each precision is: flags, vectors, a limit of oneDNN, threads."""
    known = cpu_flags()
    flags = " ".join(flag for flag in BFLOAT16_FLAGS if flag in known)
    name, vectors = _listed("model name") or platform.machine(), torch.backends.cpu.get_cpu_capability()
    parts = [name, flags, vectors, " ".join(_limit()), f"{torch.get_num_threads()} threads"]
    return ", ".join(filter(None, parts))


def _limit() -> tuple[str, str] | tuple[()]:
    """The variable that limits oneDNN, and its value; an empty one limits nothing."""
    return next(((name, os.environ[name]) for name in _LIMITS if os.environ.get(name)), ())


def _listed(field: str) -> str:
    """What the operating system says in a field of its first processor; empty where it lists none."""
    if not _CPU_FLAGS_FILE.is_file():
        return ""
    for line in _CPU_FLAGS_FILE.read_text(encoding="ascii", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == field:
            return value.strip()
    return ""


@functools.cache
def multiplies_tiles() -> bool:
    """Whether torch multiplies matrices of bfloat16 as tiles (AMX): eight times as many numbers at once as float32.

    Processors that have bfloat16 only in vectors (AVX512-BF16) compute about as fast in float32. A limit of oneDNN that
    this process was started with counts.
    """
    if any(value.lower() in _LIMITS_WITHOUT_TILES for value in _limit()):
        return False
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
