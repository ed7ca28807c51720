"""The effect of the edges and corners of an image, where a network sees mostly padding, on scores over everything.

    python -m benchmarks.scoring.borders [--recipes quick rahimi2022 ...] [--padding zeros] [--cases 3] [--steps 40]
        [--volumes 100] [--repeats 5] [--kernel 11] [--measures variance entropy]

The network of a recipe is trained on a few hippocampus volumes, as in the first rounds, and scores others, in windows
with the recipe's margin and padding. The voxels in question are those that the region `object` leaves out: less than
half of the cube of `--kernel` voxels around them lies in the image. The table shows for each measure how uncertain they
are compared with all others, whether the order of volumes and slices changes without them, and how many of the slices
with the largest totals are ends of a volume.

The networks of papers are made small: channels are a quarter, images keep their own voxels, a patch and a window is an
image and its margin, and all are trained with the learning rate and loss of `quick`.
"""

import argparse
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from monai.losses import DiceCELoss
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import nn

from activelabel.acquisition.aggregation import slice_profile, slice_totals
from activelabel.acquisition.regions import seen_voxels
from activelabel.acquisition.uncertainty import MEASURES
from activelabel.data.label_checking import check_label
from activelabel.data.preprocessing import prepare_image, prepare_label
from activelabel.data.reflection import reflect_to
from activelabel.data.slices import prepared_axis, slice_axis
from activelabel.data.volumes import read_volume
from activelabel.networks import build_network
from activelabel.prediction.predictor import Predictor
from activelabel.prediction.windows import Size3D
from activelabel.recipes import Recipe, load_recipe, recipe_names
from activelabel.training.cpu_layers import with_cpu_layers
from benchmarks.machine import DATA, cpu_name
from benchmarks.scoring.ranking import LABELS, TRAINING_CASES, WEIGHTS_SEED, overlap, tenth

FIRST_SLICES = 24


@dataclass(frozen=True)
class Borders:
    """A measure in one volume: sums and means of its slices, with and without the voxels in question."""

    totals: NDArray[np.float64]
    totals_without: NDArray[np.float64]
    means: NDArray[np.float64]
    means_without: NDArray[np.float64]
    share_of_voxels: float


def main() -> None:
    """Read the command line, train, score, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipes", nargs="+", choices=recipe_names(), default=["quick"])
    parser.add_argument("--padding", choices=("zeros", "repeated"), help="of convolutions, instead of the recipe's")
    parser.add_argument("--cases", type=int, default=3, help="how many volumes it is trained on, 10 at most")
    parser.add_argument("--steps", type=int, default=40, help="training steps of two volumes each")
    parser.add_argument("--volumes", type=int, default=100, help="how many are scored")
    parser.add_argument("--repeats", type=int, default=5, help="of Monte Carlo dropout")
    parser.add_argument("--kernel", type=int, default=11, help="what counts as the surroundings of a voxel")
    parser.add_argument("--measures", nargs="+", choices=MEASURES, default=list(MEASURES))
    arguments = parser.parse_args()
    files = sorted((DATA / "hippocampus" / "images").glob("*.nii.gz"))
    if len(files) <= TRAINING_CASES:
        parser.error(f"no hippocampus images in {DATA}: name the folder of the real images in ACTIVELABEL_DATA")
    pool = files[TRAINING_CASES : TRAINING_CASES + arguments.volumes]
    print(f"{cpu_name()}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f} at start", flush=True)
    print(
        f"{arguments.steps} steps on {arguments.cases} cases, seed {WEIGHTS_SEED}, {arguments.repeats} repeats, kernel "
        f"{arguments.kernel}; {len(pool)} volumes"
    )
    print(
        "| recipe, padding, margin | measure | share of the voxels | of the total | volumes, by total: Spearman ",
        end="",
    )
    print(f"| same top 10 % | slices, by mean: same first {FIRST_SLICES} | by total: ends among the first |")
    print("|---|---|---:|---:|---:|---:|---:|---:|", flush=True)
    for name in arguments.recipes:
        recipe = small(load_recipe(name), arguments.padding)
        size = patch_size(recipe, files[: TRAINING_CASES + arguments.volumes])
        network = train(recipe, files[: arguments.cases], arguments.steps, size)
        windows, margin = recipe.prediction, recipe.prediction.window_margin
        predictor = Predictor(network, window_of(recipe, size), windows.window_overlap, margin=margin)
        found = [dict(borders_of(file, recipe, predictor, arguments.repeats, arguments.kernel)) for file in pool]
        for measure in arguments.measures:
            print(f"| {name}, {recipe.network.padding}, {'x'.join(map(str, margin))} ", end="")
            print_row(measure, [volume[measure] for volume in found])


def small(recipe: Recipe, padding: str | None) -> Recipe:
    """The recipe on images as they are, and with a quarter of the channels if it has more than `quick`."""
    most = load_recipe("quick").network.channels[0]
    channels = tuple(width // (4 if recipe.network.channels[0] > most else 1) for width in recipe.network.channels)
    changed = {"channels": channels, **({} if padding is None else {"padding": padding})}
    return recipe.model_copy(
        update={
            "network": recipe.network.model_copy(update=changed),
            "preprocessing": recipe.preprocessing.model_copy(update={"spacing_mm": None}),
        }
    )


def patch_size(recipe: Recipe, files: list[Path]) -> Size3D:
    """The largest image and the margin, in multiples of what the network halves."""
    shapes = [prepare_image(read_volume(file), recipe.preprocessing).tensor.shape[1:] for file in files]
    step = math.prod(recipe.network.strides)
    largest = (max(shape[axis] + 2 * recipe.prediction.window_margin[axis] for shape in shapes) for axis in range(3))
    w, h, d = (-(-length // step) * step for length in largest)
    return w, h, d


def window_of(recipe: Recipe, size: Size3D) -> Size3D:
    """The patch, or a slice of it where the recipe's windows are slices."""
    return size if recipe.prediction.window_size[2] > 1 else (*size[:2], 1)


def train(
    recipe: Recipe,
    files: list[Path],
    steps: int,
    size: Size3D,
    seen: Callable[[int, nn.Module], None] = lambda steps, network: None,
    seed: int = WEIGHTS_SEED,
) -> nn.Module:
    """A network that has seen each of `files` some times, in steps of two; `seen` is called after each step."""
    torch.manual_seed(seed)
    network = with_cpu_layers(build_network(recipe.network, 1 + len(LABELS))).train()
    cases = []
    for file in files:
        volume = read_volume(file)
        label = check_label(file.parents[1] / "labels" / file.name, volume.grid, LABELS)
        image = prepare_image(volume, recipe.preprocessing).tensor
        prepared = prepare_label(label.array, volume.grid, recipe.preprocessing)
        cases.append((reflect_to(image, size), reflect_to(prepared, size)))
    loss, quick = DiceCELoss(to_onehot_y=True, softmax=True), load_recipe("quick").training
    optimiser = torch.optim.Adam(network.parameters(), quick.learning_rate)
    for step in range(steps):
        chosen = [cases[(2 * step + item) % len(cases)] for item in range(2)]
        images, labels = (torch.stack(tensors) for tensors in zip(*chosen, strict=True))
        optimiser.zero_grad()
        loss(network(images), labels).backward()
        optimiser.step()
        seen(step + 1, network)
    plain = build_network(recipe.network, 1 + len(LABELS))  # those for training have dropout that no pass makes random
    plain.load_state_dict(network.state_dict())
    return plain


def borders_of(
    file: Path, recipe: Recipe, predictor: Predictor, repeats: int, kernel: int
) -> Iterator[tuple[str, Borders]]:
    """The `Borders` of each measure in a volume."""
    volume = read_volume(file)
    image = prepare_image(volume, recipe.preprocessing)
    axis = prepared_axis(image.grid, image.original, slice_axis(volume.grid))
    statistics = predictor.sample(image.tensor, repeats, seed=0)
    seen = seen_voxels(image.tensor.shape[1:], kernel)
    for measure, of in MEASURES.items():
        map = of(statistics)
        yield (
            measure,
            Borders(
                totals=slice_totals(map, axis).numpy(),
                totals_without=slice_totals(map, axis, seen).numpy(),
                means=slice_profile(map, axis).numpy(),
                means_without=slice_profile(map, axis, seen).numpy(),
                share_of_voxels=1 - float(torch.mean(seen.float())),
            ),
        )


def print_row(measure: str, volumes: list[Borders]) -> None:
    """Print the effect of the voxels in question on one measure."""
    totals = [float(volume.totals.sum()) for volume in volumes]
    without = [float(volume.totals_without.sum()) for volume in volumes]
    shares = [1 - less / total for less, total in zip(without, totals, strict=True)]
    top, top_without = (np.argsort(values)[-tenth(len(values)) :].tolist() for values in (totals, without))
    slices, slices_without = (
        np.argsort(np.concatenate(values))[-FIRST_SLICES:].tolist()
        for values in ([volume.means for volume in volumes], [volume.means_without for volume in volumes])
    )
    print(
        f"| {measure} | {np.mean([volume.share_of_voxels for volume in volumes]):.1%} | {np.mean(shares):.1%} "
        f"| {spearmanr(totals, without).statistic:.4f} | {overlap(top, top_without):.0%} "
        f"| {overlap(slices, slices_without):.0%} | {ends_among_first([volume.totals for volume in volumes])} |",
        flush=True,
    )


def ends_among_first(totals: list[NDArray[np.float64]]) -> int:
    """How many of the first `FIRST_SLICES` slices by their totals are the first or last of a volume."""
    slices = [(value, place in (0, len(values) - 1)) for values in totals for place, value in enumerate(values)]
    return sum(is_end for _, is_end in sorted(slices, reverse=True)[:FIRST_SLICES])


if __name__ == "__main__":
    main()
