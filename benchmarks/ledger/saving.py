"""The time to save a label of slices of an image for which models have shown many masks.

    python -m benchmarks.ledger.saving [--shown 0 40] [--repeats 5]

Each model that draws an image leaves a mask behind, and a slice equal to one of the masks is not the annotator's
drawing. The masks lie where the server puts them, without digests, as an earlier version left them; so the first save
has to read them, and later ones do not. Each save answers a query for slices with a new drawing on them. The times are
processor times, which other programs change little.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

from activelabel.annotation.archive import LabelArchive, open_archive
from activelabel.annotation.label_info import LabelInfo
from activelabel.data.grids import Grid
from activelabel.project.opening import open_project
from activelabel.project.project import Project
from benchmarks.machine import cpu_name

SHAPE = (192, 192, 80)
ASKED = 5
GRID = Grid(SHAPE, np.diag([0.8, 0.8, 2.5, 1.0]))


def main() -> None:
    """Read the command line, and print the conditions and the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shown", type=int, nargs="+", default=[0, 40])
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    print(f"{cpu_name()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at start")
    size = "x".join(map(str, SHAPE))
    print(f"Python {platform.python_version()}, numpy {np.__version__}; {size} voxels, {arguments.repeats} saves timed")
    print("| masks shown before | first save, CPU s | later saves, median (largest), CPU s |")
    print("|---:|---:|---:|")
    for shown in arguments.shown:
        with tempfile.TemporaryDirectory() as work:
            first, *later = save(Path(work), shown, arguments.repeats)
            print(f"| {shown} | {first:.2f} | {statistics.median(later):.2f} ({max(later):.2f}) |", flush=True)


def save(work: Path, shown: int, repeats: int) -> list[float]:
    """The processor seconds of each save; the first save finds masks without digests."""
    project = open_project(str(work), str(work), {"labels": "liver", "recipe": "chlebus2022", "device": "cpu"})
    project.ledger.sync_images(["case"], 0)
    archive = open_archive(project)
    for version in range(1, shown + 1):
        write(project.predictions_folder / "case" / f"{version}.nii.gz", ellipsoid(version))
    newest = ellipsoid(shown) if shown else np.zeros(SHAPE, np.uint8)
    return [save_answer(project, archive, work / "sent.nii.gz", newest, turn) for turn in range(repeats + 1)]


def save_answer(project: Project, archive: LabelArchive, file: Path, shown: NDArray[np.uint8], turn: int) -> float:
    """Answer a query for slices with the shown mask, corrected on these slices."""
    asked = [20 + ASKED * turn + index for index in range(ASKED)]
    annotator = f"reader {turn}"
    assert project.ledger.grant_lease(annotator, "case", 60, "uncertainty_slices", slices=asked) is not None
    drawn = shown.copy()
    drawn[80:100, 80:100, asked] = 1 - drawn[80:100, 80:100, asked]
    write(file, drawn)
    info = LabelInfo(annotator, confirmed=True)
    started = time.process_time()
    archive.keep("case", "final", file, GRID, info)
    return time.process_time() - started


def ellipsoid(seed: int) -> NDArray[np.uint8]:
    """An organ in the middle third of the volume, different for each seed."""
    centre = np.array(SHAPE) / 2 + np.random.default_rng(seed).uniform(-4, 4, 3)
    axes = np.ogrid[tuple(slice(length) for length in SHAPE)]
    away = sum(((axis - middle) / (length / 3)) ** 2 for axis, middle, length in zip(axes, centre, SHAPE, strict=True))
    return (away < 1).astype(np.uint8)


def write(path: Path, voxels: NDArray[np.uint8]) -> None:
    """Write the voxels as NIfTI."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels, GRID.affine_ras), path)


if __name__ == "__main__":
    main()
