"""The effect of the edges and corners of an image, where a network sees mostly padding, on scores over everything.

    python benchmarks/borders.py [--cases 3] [--steps 40] [--volumes 100] [--repeats 5] [--kernel 11] [--margin 0]

A network of the recipe `quick` is trained on a few hippocampus volumes, as in the first rounds, and scores others. The
voxels in question are those that the region `object` leaves out: less than half of the cube of `--kernel` voxels around
them lies in the image. The table shows for each measure how uncertain they are compared with all others, and whether
the order of volumes and slices changes without them.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from ranking import DATA, RECIPE, TRAINING_CASES, WEIGHTS_SEED, overlap, tenth, train
from scipy.stats import spearmanr

from activelabel.acquisition.aggregation import slice_profile, slice_totals
from activelabel.acquisition.regions import seen_voxels
from activelabel.acquisition.uncertainty import MEASURES
from activelabel.data.files.volumes import read_volume
from activelabel.data.preprocessing import prepare_image
from activelabel.data.slices import prepared_axis, slice_axis
from activelabel.prediction.predictor import Predictor

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
    parser.add_argument("--cases", type=int, default=3, help="how many volumes it is trained on, 10 at most")
    parser.add_argument("--steps", type=int, default=40, help="training steps of two volumes each")
    parser.add_argument("--volumes", type=int, default=100, help="how many are scored")
    parser.add_argument("--repeats", type=int, default=5, help="of Monte Carlo dropout")
    parser.add_argument("--kernel", type=int, default=11, help="what counts as the surroundings of a voxel")
    parser.add_argument("--margin", type=int, default=0, help="how far windows reach beyond an image")
    arguments = parser.parse_args()
    files = sorted((DATA / "hippocampus" / "images").glob("*.nii.gz"))
    if len(files) <= TRAINING_CASES:
        parser.error(f"no hippocampus images in {DATA}: name the folder of the real images in ACTIVELABEL_DATA")
    network = train(files[:TRAINING_CASES][: arguments.cases], arguments.steps)
    margin = (arguments.margin,) * 3
    prediction = RECIPE.prediction
    predictor = Predictor(network, prediction.window_size, prediction.window_overlap, margin=margin)
    pool = files[TRAINING_CASES : TRAINING_CASES + arguments.volumes]
    found = [dict(borders_of(file, predictor, arguments.repeats, arguments.kernel)) for file in pool]
    print(
        f"{arguments.steps} steps on {arguments.cases} cases, seed {WEIGHTS_SEED}, {arguments.repeats} repeats, margin "
        f"{arguments.margin}, kernel {arguments.kernel}; {len(pool)} volumes"
    )
    print("| measure | share of the voxels | of the total | volumes, by total: Spearman | same top 10 % ", end="")
    print(f"| slices, by mean: same first {FIRST_SLICES} |\n|---|---:|---:|---:|---:|---:|")
    for measure in MEASURES:
        print_row(measure, [volume[measure] for volume in found])


def borders_of(file: Path, predictor: Predictor, repeats: int, kernel: int) -> Iterator[tuple[str, Borders]]:
    """The `Borders` of each measure in a volume."""
    volume = read_volume(file)
    image = prepare_image(volume, RECIPE.preprocessing)
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
        f"| {overlap(slices, slices_without):.0%} |"
    )


if __name__ == "__main__":
    main()
