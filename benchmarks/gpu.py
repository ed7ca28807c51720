"""What a GPU makes of the networks, of scoring and of training: one JSON file and one table.

    python benchmarks/gpu.py [--device cuda] [--small] [--seconds 330] [--only networks scoring] [--out gpu.json]

It needs torch, MONAI, pydantic, nibabel, SimpleITK, pydicom and scipy, and neither monailabel nor a network; it makes
its own data. When `--seconds` are over, what is left is named as not reached. `--device cpu --small` tries the script
itself.

- networks: forward pass and training step of each paper's network, by layout and precision; agreement is with float32
  without TF32, as the relative distance of the logits and as the share of voxels with the same class.
- masks: a forward pass without dropout, with torch's own, with ours, and with masks hashed from a counter.
- scoring: prepared volumes from files, as a round scores them; busy is the time of the bare passes in it.
- memory: a predictor that gets too little memory must halve its batches, and give the same result.
- training: `quick` on ten cases of the sample data, beside the same on the processor.
- compiled: `torch.compile`, plain and with CUDA graphs.
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from gpu_networks import compiled_networks, masks, networks
from gpu_scoring import memory, scoring
from gpu_timing import Conditions
from gpu_training import training

Row = dict[str, Any]
SECTIONS: dict[str, Callable[[Conditions], Iterator[Row]]] = {
    "networks": networks,
    "masks": masks,
    "scoring": scoring,
    "memory": memory,
    "training": training,
    "compiled": compiled_networks,
}


def main() -> None:
    """Read the command line, run the sections, and write what they find as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="small windows and few volumes, to try the script")
    parser.add_argument("--seconds", type=float, default=330, help="after these no new measurement begins")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    arguments = parser.parse_args()
    if arguments.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error(f"--device {arguments.device}: torch sees no CUDA device; --device cpu --small tries the script")
    conditions = Conditions(torch.device(arguments.device), arguments.small, time.monotonic() + arguments.seconds)
    found: dict[str, Any] = {"machine": machine(conditions)}
    print(json.dumps(found["machine"]))
    for name in arguments.only:
        rows = found[name] = []
        print(f"\n## {name}")
        for row in SECTIONS[name](conditions):
            rows.append(row)
            print_row(row, first=len(rows) == 1)
            arguments.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    if conditions.not_reached:
        print(f"\nnot reached in {arguments.seconds:.0f} s: {', '.join(conditions.not_reached)}")


def machine(conditions: Conditions) -> Row:
    """What the figures were measured on."""
    device = conditions.device
    on_gpu = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if on_gpu else platform.processor() or platform.machine(),
        "memory_gb": round(torch.cuda.get_device_properties(device).total_memory / 1e9, 1) if on_gpu else None,
        "torch": torch.__version__,
        "cuda": torch.version.cuda if on_gpu else None,
        "python": platform.python_version(),
        "small": conditions.small,
    }


def print_row(row: Row, first: bool) -> None:
    """Print a row of a Markdown table, with the head before the first one."""
    if first:
        print(f"| {' | '.join(row)} |\n|{'---|' * len(row)}")
    shown = (
        f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value) for value in row.values()
    )
    print(f"| {' | '.join(shown)} |")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
