"""What every benchmark asks of the machine on which it runs: where the real images lie, and what the processor is."""

import os
import platform
import resource
from pathlib import Path

DATA = Path(os.environ.get("ACTIVELABEL_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
"""The folder of the real images."""


def cpu_name() -> str:
    """The processor, as the operating system calls it."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def peak_megabytes() -> float:
    """The most memory that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
