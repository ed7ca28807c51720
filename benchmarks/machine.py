"""What every benchmark asks of the machine on which it runs: where the real images lie, and what the processor is."""

import os
import platform
import resource
from pathlib import Path

DATA = Path(os.environ.get("ACTIVELABEL_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
"""The folder of the real images."""
_CPU_FILE = Path("/proc/cpuinfo")
_BFLOAT16_FLAGS = ("amx_bf16", "avx512_bf16")


def cpu_name() -> str:
    """The processor, as the operating system calls it, and the flags of its instructions that multiply bfloat16."""
    name, flags = _listed("model name"), _listed("flags").split()
    native = [flag for flag in _BFLOAT16_FLAGS if flag in flags]
    bfloat16 = " ".join(native) or ("none" if flags else "unknown")
    return f"{name or platform.processor() or platform.machine()} (bfloat16: {bfloat16})"


def peak_megabytes() -> float:
    """The most memory that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _listed(field: str) -> str:
    """What the operating system says in a field of its first processor; empty where it lists none."""
    lines = _CPU_FILE.read_text(encoding="utf-8").splitlines() if _CPU_FILE.is_file() else []
    values = (value.strip() for name, _, value in (line.partition(":") for line in lines) if name.strip() == field)
    return next(values, "")
