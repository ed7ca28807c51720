"""Speed and memory of uncertainty scoring against the host's own: same network, weights, windows, repeats and files.

    python -m benchmarks.scoring.beside_host [--sizes hippocampus 192 320]

Each arm runs in a process of its own, for a peak memory of its own, and reads its files, except for the "bare" arms:
they run only the forward passes with dropout on, the least that any scorer must do with this network. The host gives
one number a volume; ours gives every measure over every region, of the volume and of each slice.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import nibabel
import numpy as np
import torch

from activelabel.networks.unet import build_unet
from activelabel.prediction.devices.precision import choose_precision
from activelabel.prediction.windows import Size3D
from activelabel.recipes import load_recipe
from benchmarks.machine import DATA, cpu_name, peak_megabytes
from benchmarks.scoring.arms import ARMS, CPU, SEED, Job, autocast

HOSTS = ("host v1", "host v2")
CLASSES = 3


@dataclass(frozen=True)
class Size:
    """Images to score: real volumes, or noise of a `shape`; with the network of a recipe, in its windows or others."""

    recipe: str
    volumes: int
    shape: Size3D | None
    repeats: int
    rounds: int = 1
    memory_repeats: tuple[int, ...] = ()
    own_window: Size3D | None = None

    @property
    def window(self) -> Size3D:
        """The size of a sliding window."""
        return self.own_window or load_recipe(self.recipe).prediction.window_size


SIZES = {
    "hippocampus": Size("quick", volumes=20, shape=None, repeats=5, rounds=3, memory_repeats=(5, 40)),
    # The same images with a network of MONAI's usual size; its levels need multiples of 16.
    "hippocampus-large": Size("rahimi2022", volumes=20, shape=None, repeats=5, rounds=3, own_window=(48, 64, 48)),
    "192x192x96": Size("rahimi2022", volumes=1, shape=(192, 192, 96), repeats=5, memory_repeats=(5, 40)),
    "320x320x160": Size("rahimi2022", volumes=1, shape=(320, 320, 160), repeats=3),
}


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--run-arm", choices=ARMS, help="run one arm over FOLDER in this process (internal)")
    parser.add_argument("--repeats", type=int, help="with --run-arm")
    parser.add_argument("--folder", type=Path, help="with --run-arm")
    arguments = parser.parse_args()
    if arguments.run_arm:
        run_arm(arguments.run_arm, SIZES[arguments.sizes[0]], arguments.repeats, arguments.folder)
        return
    with tempfile.TemporaryDirectory() as work:
        report(arguments.sizes, Path(work))


def report(sizes: Sequence[str], work: Path) -> None:
    """Print the conditions, and a table of speed and memory for each size."""
    print(f"{cpu_name()}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f} at start")
    print(f"torch {torch.__version__}, auto = {choose_precision('auto', CPU)}, seed {SEED}, {CLASSES} classes")
    for name in sizes:
        size = SIZES[name]
        write_images(size, work / name)
        windows = "x".join(map(str, size.window))
        print(f"\n{name}: {size.volumes} volumes, {size.repeats} repeats, fastest of {size.rounds} rounds")
        print(f"network of {size.recipe}, windows {windows}")
        rounds = [{arm: measure(arm, name, size.repeats, work / name) for arm in ARMS} for _ in range(size.rounds)]
        print_speed(size, {arm: min((found[arm] for found in rounds), key=wall_seconds) for arm in ARMS})
        if size.memory_repeats:
            print_memory(name, size.memory_repeats, work / name)


def wall_seconds(figures: Mapping[str, float]) -> float:
    """The key for the fastest of several rounds: disturbances only make a run slower."""
    return figures["wall_seconds"]


def print_speed(size: Size, found: dict[str, dict[str, float]]) -> None:
    """Print one row for each arm, then the share of the bare passes in our time."""
    print("| arm | s | volumes/min | times host v1 | times host v2 | CPU s | peak MB | before scoring |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for arm, figures in found.items():
        took = figures["wall_seconds"]
        faster = " | ".join(f"{found[host]['wall_seconds'] / took:.1f}" for host in ("host v1", "host v2"))
        print(
            f"| {arm} | {took:.1f} | {60 * size.volumes / took:.2f} | {faster} "
            f"| {figures['cpu_seconds']:.1f} | {figures['peak_mb']:.0f} | {figures['before_mb']:.0f} |"
        )
    for precision in ("float32", "auto"):
        ours = found[f"ours, {precision}"]["wall_seconds"]
        with_torch, with_ours = (
            found[f"bare, {masks} masks, {precision}"]["wall_seconds"] / ours for masks in ("torch's", "our")
        )
        print(f"bare passes in ours, {precision}: {with_torch:.0%} (torch's masks), {with_ours:.0%} (our masks)")


def print_memory(name: str, repeats: Sequence[int], folder: Path) -> None:
    """Print the peak memory of our arm with few and with many repeats."""
    peaks = [
        f"{measure('ours, auto', name, count, folder)['peak_mb']:.0f} MB with {count} repeats" for count in repeats
    ]
    print(f"peak memory of ours, auto: {', '.join(peaks)}", flush=True)


def measure(arm: str, size: str, repeats: int, folder: Path) -> dict[str, float]:
    """Run one arm in a process of its own; return its seconds, its peak memory, and its memory before scoring."""
    command = [sys.executable, "-m", "benchmarks.scoring.beside_host", "--run-arm", arm, "--sizes", size]
    command += ["--repeats", str(repeats), "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    if done.returncode:
        sys.exit(f"{arm} failed: {done.stderr}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def run_arm(arm: str, size: Size, repeats: int, folder: Path) -> None:
    """Run one arm in this process, and print its figures."""
    recipe = load_recipe(size.recipe)
    torch.manual_seed(SEED)
    network = build_unet(recipe.network, CLASSES).eval()
    job = Job(sorted(folder.glob("*.nii.gz")), network, size.window, repeats)
    with torch.no_grad(), autocast("auto" if arm.endswith("auto") else "float32"):
        network(torch.zeros(1, 1, *job.window_size))  # the libraries' start-up in the first pass counts for no arm
    before = peak_megabytes()
    took = ARMS[arm](job)
    print(json.dumps({**asdict(took), "peak_mb": peak_megabytes(), "before_mb": before}))


def write_images(size: Size, folder: Path) -> None:
    """Write the files to score: links to real ones, or noise of the wanted shape, the same in every run."""
    folder.mkdir()
    if size.shape is None:
        files = sorted((DATA / "hippocampus" / "images").glob("*.nii.gz"))
        if not files:
            sys.exit(f"no hippocampus images in {DATA}: name the folder of the real images in ACTIVELABEL_DATA")
        # The host's version 2 fails on a volume that exceeds the window along its first axis only.
        fitting = [file for file in files if nibabel.load(file).shape[0] <= size.window[0]]
        for file in fitting[: size.volumes]:
            (folder / file.name).symlink_to(file)
        return
    rng = np.random.default_rng(SEED)
    for number in range(size.volumes):
        noise = rng.normal(0, 300, size.shape).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(noise, np.eye(4)), folder / f"noise_{number}.nii.gz")


if __name__ == "__main__":
    main()
