"""What a GPU makes of the networks, of scoring and of training: one JSON file and one table, within six minutes.

    python -m benchmarks.gpu.run [--device cuda] [--small] [--seconds 330] [--only networks scoring] [--out gpu.json]

It runs in the folder of the checkout, with `PYTHONPATH=lib` where activelabel is not installed. It needs torch, MONAI,
pydantic, nibabel, pydicom, scipy, safetensors and psutil, for the training SimpleITK and rich too, and neither
monailabel nor a network connection; it makes its own data. Each part runs in a process of its own and has a share of
the time, which is counted from the start of Python. What it does not reach is left out with a line, here and in the
file; a part that fails does not stop the others, and the exit code is 1. The file is written with each row, so that a
script that is killed leaves what it has measured. `--device cpu --small` tries the script itself.

- networks: forward pass and training step of each paper's network, by layout and precision; agreement is with float32
  without TF32, as the relative distance of the logits and as the share of voxels with the same class. The traffic is
  what the layers at least read and write, as a share of the memory's bandwidth.
- masks: a forward pass without dropout, with torch's own, with ours, and with masks hashed from a counter.
- scoring: 64 CTs from files of the cache of prepared images, read ahead and scored as in a round, beside the bare
  passes. How busy the GPU is in all of this says NVML, where nvidia-ml-py is installed; on a processor it is the share
  of all cores that are busy, which is no goal.
- memory: a predictor that gets too little memory must halve its batches, and give the same result.
- training: `quick` on ten cases of the sample data, beside the same on the processor.
- compiled: CUDA graphs and `torch.compile`, and after how many passes they pay.
"""

import argparse
import dataclasses
import json
import os
import platform
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import torch

from benchmarks.gpu.compiled import compiled
from benchmarks.gpu.networks import masks, networks
from benchmarks.gpu.parts import Found, Part, contexts, run_part
from benchmarks.gpu.scoring import memory, scoring
from benchmarks.gpu.timing import Conditions, Row, bandwidth
from benchmarks.gpu.training import BELOW, training
from benchmarks.machine import cpu_name

PARTS: dict[str, tuple[Part, float]] = {
    "networks": (networks, 95),
    "scoring": (scoring, 85),
    "memory": (memory, 20),
    "masks": (masks, 20),
    "training": (training, 60),
    "compiled": (compiled, 50),
}
"""Each part with its share of the time; what it does not use is shared by those after it."""

MACHINE_SHARE = 1 / 3
"""The most of the time that it may take until a process can use the device, for each way to start one."""


def main() -> None:
    """Read the command line, and exit with 1 if a part failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="small windows and few volumes, to try the script")
    parser.add_argument("--seconds", type=float, default=330, help="after these no new measurement begins")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the part in hand ends too
    importing = time.time() - psutil.Process().create_time()
    deadline = time.monotonic() + arguments.seconds - importing
    conditions = Conditions(torch.device(arguments.device), arguments.small, deadline)
    failed = measure(conditions, {name: PARTS[name] for name in arguments.only}, arguments.out)
    sys.exit(1 if failed else 0)


def measure(conditions: Conditions, parts: Mapping[str, tuple[Part, float]], out: Path) -> list[str]:
    """Run the parts, write what they find as soon as it is there, and return the names of those that failed."""
    begun = time.monotonic()
    print("| part | of | found |\n|---|---|---|", flush=True)
    context, about = usable_context(conditions)
    found: dict[str, Found] = {"machine": about}

    def keep(name: str, so_far: Found) -> None:
        """Print the newest row of a part, and write all that was found."""
        found[name] = so_far
        print_row(name, so_far.rows[-1])
        write(out, found, begun)

    for name, (part, _) in parts.items() if about.status == "done" else ():
        left = sum(share for other, (_, share) in parts.items() if other not in found)
        own = dataclasses.replace(conditions, deadline=time.monotonic() + conditions.left * parts[name][1] / left)
        found[name] = run_part(context, part, own, partial(keep, name))
        for line in found[name].left_out:
            print(f"| {name} | left out | {line} |", flush=True)
        write(out, found, begun)
    write(out, found, begun)
    failed = [name for name, of_part in found.items() if of_part.status == "failed"]
    for name, of_part in found.items():
        print(f"{name}: {of_part.status}, {of_part.seconds:.0f} s of {of_part.share_s:.0f} {of_part.error}".rstrip())
    for goal in goals(found):
        print(f"{'met' if goal['met'] else 'MISSED'}: {goal['goal']}: {goal['found']:.3g}, wanted {goal['wanted']}")
    return failed


def usable_context(conditions: Conditions) -> tuple[Any, Found]:
    """How processes are started, so that they can use the device, and what the machine is."""
    for context in contexts():
        own = dataclasses.replace(conditions, deadline=time.monotonic() + conditions.left * MACHINE_SHARE)
        found = run_part(context, machine, own, lambda so_far: print_row("machine", so_far.rows[-1]))
        if found.status == "done":
            return context, found
    found.status, found.error = "failed", found.error or "no process could use the device in time"
    return context, found


def machine(conditions: Conditions) -> Iterator[Row]:
    """What the figures are measured on."""
    device = conditions.device
    on_gpu = device.type == "cuda"
    about = torch.cuda.get_device_properties(device) if on_gpu else None
    yield {
        "device": cpu_name() if about is None else about.name,
        "memory GB": None if about is None else about.total_memory / 1e9,
        "free GB": torch.cuda.mem_get_info(device)[0] / 1e9 if on_gpu else psutil.virtual_memory().available / 1e9,
        "copies GB/s": bandwidth(conditions) / 1e9,
        "multiprocessors": None if about is None else about.multi_processor_count,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "torch": torch.__version__,
        "cuda": f"CUDA {torch.version.cuda}" if on_gpu else None,
        "cudnn": f"cuDNN {torch.backends.cudnn.version()}" if on_gpu else None,
        "compiler": "C compiler" if shutil.which("gcc") or shutil.which("clang") else "no C compiler",
        "python": platform.python_version(),
        "small": str(conditions.small),
    }


def goals(found: Mapping[str, Found]) -> list[Row]:
    """The goals for which there are figures, and whether they are met."""
    rows = {name: found[name].rows if name in found else [] for name in ("scoring", "training")}
    shares = [
        (f"{figure}, {row['network']}", row[figure], ">= 0.7", row[figure] >= 0.7)
        for row in rows["scoring"]
        for figure in ("busy share", "bare share")
        if row.get(figure) is not None
    ]
    below = [row[BELOW] for row in rows["training"] if BELOW in row]
    wanted = [*shares, *((BELOW, value, "<= 0.02", value <= 0.02) for value in below)]
    return [dict(zip(("goal", "found", "wanted", "met"), goal, strict=True)) for goal in wanted]


def write(out: Path, found: Mapping[str, Found], begun: float) -> None:
    """Write everything so far."""
    parts = {name: dataclasses.asdict(of_part) for name, of_part in found.items()}
    content = {"seconds": round(time.monotonic() - begun, 1), "goals": goals(found), "parts": parts}
    unfinished = out.with_name(f"{out.name}.unfinished")
    unfinished.write_text(json.dumps(content, indent=1), encoding="utf-8")
    unfinished.replace(out)


def print_row(part: str, row: Row) -> None:
    """Print a row of the table: first what was measured, then the numbers."""
    of = " ".join(str(value) for value in row.values() if isinstance(value, str) and value)
    figures = ", ".join(f"{key} {value:.4g}" for key, value in row.items() if isinstance(value, int | float))
    print(f"| {part} | {of} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
