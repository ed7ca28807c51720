"""The floating-point type of a network: bfloat16 where the hardware multiplies it natively, float32 elsewhere.

On a GPU, `choice` measures whether that is faster. The type applies to the forward pass alone. Softmax,
blending and statistics are always float32.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

PrecisionName = Literal["auto", "float32", "bfloat16"]

_CPU_FLAGS_FILE = Path("/proc/cpuinfo")
_BFLOAT16_FLAGS = ("amx_bf16", "avx512_bf16")


@dataclass(frozen=True)
class Precision:
    """The chosen type, and the reason as one phrase for a log or a report."""

    dtype: torch.dtype
    reason: str

    def __str__(self) -> str:
        return f"{str(self.dtype).removeprefix('torch.')} ({self.reason})"


def choose_precision(requested: PrecisionName, device: torch.device) -> Precision:
    """The precision for a network on `device`: the requested one or, for `auto`, bfloat16 where it is native."""
    if requested != "auto":
        return Precision(torch.bfloat16 if requested == "bfloat16" else torch.float32, "as requested")
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        # Ampere is the first generation whose tensor cores multiply bfloat16.
        if torch.cuda.get_device_capability(device) >= (8, 0):
            return Precision(torch.bfloat16, f"{name} multiplies it natively")
        return Precision(torch.float32, f"{name} has no native bfloat16")
    if device.type != "cpu":
        return Precision(torch.float32, f"bfloat16 is not used on '{device.type}'")
    native = [flag for flag in _BFLOAT16_FLAGS if flag in _cpu_flags()]
    if not native:
        return Precision(torch.float32, f"this CPU has none of {', '.join(_BFLOAT16_FLAGS)}")
    if not torch.backends.mkldnn.is_available():
        return Precision(torch.float32, "this build of torch lacks oneDNN")
    return Precision(torch.bfloat16, f"this CPU has {native[0]}")


@functools.cache
def multiplies_in_tiles() -> bool:
    """Whether this processor multiplies whole tiles of bfloat16 at once (AMX)."""
    return "amx_bf16" in _cpu_flags()


@functools.cache
def convolves_each_fast(dtype: torch.dtype) -> bool:
    """Whether torch is fast here at 3D convolutions of each channel by itself, with values of `dtype`.

    It is by AVX-512; bfloat16 has to be native as well.
    """
    native = dtype == torch.float32 or bool(_cpu_flags().intersection(_BFLOAT16_FLAGS))
    return native and torch.backends.cpu.get_cpu_capability() == "AVX512"


def _cpu_flags() -> set[str]:
    """The processor's feature flags; empty where the operating system does not list them."""
    if not _CPU_FLAGS_FILE.is_file():
        return set()
    for line in _CPU_FLAGS_FILE.read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("flags"):
            return set(line.partition(":")[2].split())
    return set()
