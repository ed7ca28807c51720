"""Which slices plain scores ask for first: do they hold foreground, or are they the ends of volumes?

    python -m benchmarks.training.ends [--seeds 4] [--padding zeros repeated] [--windows 48x64x48+4 40x56x40+0]

For each seed, the network of `papers/recipes/hippocampus_slices.toml` learns from 24 random slices of 54 hippocampus
volumes, as the start of a project for slices, and scores them all. The 24 slices with the largest total entropy are
those that plain `entropy_slices` asks for first; the 24 largest inner peaks of the mean entropy those of
`uncertainty_slices`. Each row has another padding of the convolutions, or another size of patches and windows and
another margin of windows beyond the ends of a volume. Dice is that of 16 other volumes.
"""

import argparse
import hashlib
import os
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from activelabel.acquisition.aggregation import slice_profile, slice_totals
from activelabel.acquisition.selection import slice_peaks
from activelabel.acquisition.uncertainty import MEASURES
from activelabel.data.label_checking import read_label
from activelabel.data.preprocessing import prepare_image
from activelabel.data.slices import prepared_axis, slice_axis
from activelabel.data.volumes import read_volume
from activelabel.prediction.predictor import Predictor
from activelabel.recipes import Recipe, load_recipe
from activelabel.store.cases.new_annotation import NewAnnotation
from activelabel.training.evaluation import evaluate_cases, mean_class_dice
from activelabel.training.transforms import Case
from benchmarks.machine import cpu_name
from benchmarks.training.arms import Files, train_ours
from benchmarks.training.beside_host import annotated_project, hippocampus

LABELS = ("anterior", "posterior")
POOL, TEST, SLICES, REPEATS = 54, 16, 24, 5
RECIPE_FILE = Path(__file__).parents[1] / "papers" / "recipes" / "hippocampus_slices.toml"


@dataclass(frozen=True)
class Scored:
    """A slice that may be asked for."""

    score: float
    is_end: bool
    has_foreground: bool


@dataclass(frozen=True)
class Volume:
    """An image, its label, the axis along which its slices are counted, and which of them have foreground."""

    image: Path
    label: Path
    axis: int
    shape: tuple[int, int, int]
    foreground: tuple[bool, ...]


Pool = Mapping[str, Volume]


def main() -> None:
    """Read the command line, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--padding", nargs="+", choices=("zeros", "repeated"), default=["zeros", "repeated"])
    parser.add_argument("--windows", nargs="+", default=["48x64x48+4"], help="size, and margin beyond the ends")
    arguments = parser.parse_args()
    print(f"{cpu_name()}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f} at start")
    print("| padding | windows | seed | plain: foreground, ends | peaks: foreground, ends ", end="")
    print("| volumes whose most uncertain slice is an end | Dice | step, ms | scoring, s |")
    print("|---|---|---:|---|---|---:|---:|---:|---:|", flush=True)
    files = list(hippocampus(POOL + TEST).values())
    pool = {image.name: volume_of(image, label) for image, label in files[:POOL]}
    for padding in arguments.padding:
        for windows in arguments.windows:
            for seed in range(arguments.seeds):
                print_row(recipe_of(padding, windows), f"{padding} | {windows}", seed, pool, files[POOL:])


def recipe_of(padding: str, windows: str) -> Recipe:
    """The recipe with this padding, and patches and windows such as `48x64x48+4`; without validation."""
    recipe, (size, margin) = load_recipe(str(RECIPE_FILE)), windows.split("+")
    content = recipe.model_dump(mode="json", exclude_none=True)
    content["name"] = "quick_slices"  # one that a project finds by its name
    content["network"]["padding"] = padding
    content["training"] |= {"validation_cases": 0, "patch_size": size.split("x")}
    content["prediction"] |= {"window_size": size.split("x"), "window_margin": [margin] * 3}
    return Recipe.model_validate(content)


def volume_of(image: Path, label: Path) -> Volume:
    """A hippocampus volume."""
    grid = read_volume(image).grid
    axis = slice_axis(grid)
    drawn = read_label(label, grid).array > 0
    foreground = drawn.any(axis=tuple(other for other in range(3) if other != axis))
    return Volume(image, label, axis, grid.shape, tuple(foreground.tolist()))


def print_row(recipe: Recipe, name: str, seed: int, pool: Pool, test: Sequence[tuple[Path, Path]]) -> None:
    """Train, score the pool, and print what would be asked for."""
    drawn = random_slices(pool, seed)
    with tempfile.TemporaryDirectory() as work:
        predictor, step_seconds, dice = trained(recipe, seed, pool, drawn, test, Path(work))
    started = time.process_time()
    scores = {image: scores_of(volume, predictor, recipe, seed) for image, volume in pool.items()}
    seconds = time.process_time() - started
    ends = sum(int(np.argmax(totals)) in (0, len(totals) - 1) for totals, _ in scores.values())
    plain, peaks = [], []
    for image, (totals, means) in scores.items():
        left = set(range(len(totals))) - set(drawn.get(image, ()))
        plain += [scored(pool[image], totals, place) for place in left]
        peaks += [scored(pool[image], means, place) for place in left & set(slice_peaks(means, 5))]
    print(
        f"| {name} | {seed} | {first_of(plain)} | {first_of(peaks)} | {ends} of {len(pool)} | {dice:.3f} "
        f"| {1000 * step_seconds:.0f} | {seconds:.1f} |",
        flush=True,
    )


def random_slices(pool: Pool, seed: int) -> dict[str, list[int]]:
    """`SLICES` slices of all volumes, by image."""
    everyone = [(image, place) for image, volume in pool.items() for place in range(len(volume.foreground))]
    drawn: dict[str, list[int]] = {}
    for number in sorted(np.random.default_rng(1000 + seed).choice(len(everyone), SLICES, replace=False)):
        image, place = everyone[number]
        drawn.setdefault(image, []).append(place)
    return drawn


def trained(
    recipe: Recipe,
    seed: int,
    pool: Pool,
    drawn: Mapping[str, list[int]],
    test: Sequence[tuple[Path, Path]],
    work: Path,
) -> tuple[Predictor, float, float]:
    """A predictor that has learnt from the drawn slices, the processor's seconds of a step, and the mean Dice."""
    project = annotated_project(work, recipe, ",".join(LABELS), seed, {})
    project.ledger.sync_images(drawn, 0)
    for image, places in drawn.items():
        volume = pool[image]
        project.ledger.fix_slices(image, volume.axis, volume.shape)
        (project.labels_folder / volume.label.name).symlink_to(volume.label)
        sha256 = hashlib.sha256(volume.label.read_bytes()).hexdigest()
        label = NewAnnotation(image, volume.label.name, sha256, "benchmark", slices=places)
        project.ledger.keep_label(label)
    timing, network = train_ours(project, Files({image: pool[image].image for image in drawn}))
    windows = recipe.prediction
    predictor = Predictor(
        network, windows.window_size, windows.window_overlap, precision="float32", margin=windows.window_margin
    )
    judged: list[Case] = [{"image": str(image), "label": str(label)} for image, label in test]
    found = evaluate_cases(predictor.probabilities, judged, LABELS, recipe.preprocessing)
    dice = statistics.fmean(value for value in mean_class_dice(found, LABELS).values() if value is not None)
    return predictor, timing.step_cpu_seconds, dice


def scores_of(volume: Volume, predictor: Predictor, recipe: Recipe, seed: int) -> tuple[list[float], list[float]]:
    """The total and the mean entropy of each slice, in the image's own order."""
    image = prepare_image(read_volume(volume.image), recipe.preprocessing)
    axis = prepared_axis(image.grid, image.original, volume.axis)
    map = MEASURES["entropy"](predictor.sample(image.tensor, REPEATS, seed))
    turned = float(image.grid.affine_ras[:3, axis] @ image.original.affine_ras[:3, volume.axis]) < 0
    order = slice(None, None, -1) if turned else slice(None)
    return slice_totals(map, axis).tolist()[order], slice_profile(map, axis).tolist()[order]


def scored(volume: Volume, values: Sequence[float], place: int) -> Scored:
    """One slice of a volume."""
    return Scored(values[place], place in (0, len(values) - 1), volume.foreground[place])


def first_of(slices: Sequence[Scored]) -> str:
    """How many of the first `SLICES` have foreground, and how many are ends."""
    first = sorted(slices, key=lambda item: -item.score)[:SLICES]
    return f"{sum(item.has_foreground for item in first)}, {sum(item.is_end for item in first)}"


if __name__ == "__main__":
    main()
