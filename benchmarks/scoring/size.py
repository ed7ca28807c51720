"""The correlation of a volume's score with its size, with the size of its foreground, and with the model's error.

    python -m benchmarks.scoring.size [--cases 3] [--steps 40] [--volumes 100] [--repeats 5] [--kernels 11]

A network of the recipe `quick` is trained on a few hippocampus volumes, as in the first rounds, and scores others.
The table has Spearman's correlation over the volumes of each score with three numbers: the voxels of the image, those
predicted as foreground, and the true error, 1 - Dice, which a score should find.
"""

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr
from torch import Tensor

from activelabel.acquisition.regions import predicted_foreground
from activelabel.acquisition.volume_scores import volume_scores
from activelabel.data.label_checking import check_label
from activelabel.data.preprocessing import prepare_image, prepare_label
from activelabel.data.volumes import read_volume
from activelabel.prediction.predictor import Predictor
from activelabel.recipes import RegionSettings
from benchmarks.machine import DATA, cpu_name
from benchmarks.scoring.ranking import LABELS, RECIPE, TRAINING_CASES, WEIGHTS_SEED, build_predictor, train

SIZES = ("image", "predicted", "error")


def main() -> None:
    """Read the command line, train, score, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=3, help="how many volumes it is trained on, 10 at most")
    parser.add_argument("--steps", type=int, default=40, help="training steps of two volumes each")
    parser.add_argument("--volumes", type=int, default=100, help="how many are scored")
    parser.add_argument("--repeats", type=int, default=5, help="of Monte Carlo dropout; 0 is a single pass")
    parser.add_argument("--kernels", type=int, nargs="+", default=[11], help="of the dilated regions")
    arguments = parser.parse_args()
    files = sorted((DATA / "hippocampus" / "images").glob("*.nii.gz"))
    if len(files) <= TRAINING_CASES:
        parser.error(f"no hippocampus images in {DATA}: name the folder of the real images in ACTIVELABEL_DATA")
    print(f"{cpu_name()}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f} at start", flush=True)
    network = train(files[:TRAINING_CASES][: arguments.cases], arguments.steps)
    pool = files[TRAINING_CASES : TRAINING_CASES + arguments.volumes]
    predictor = build_predictor(network, "auto")
    table = pd.DataFrame(rows_of(file, predictor, arguments.repeats, arguments.kernels) for file in pool)
    how = f"{arguments.steps} steps on {arguments.cases} cases, seed {WEIGHTS_SEED}, {arguments.repeats} repeats"
    dice, smallest, largest = 1 - table["error"].mean(), table["image"].min(), table["image"].max()
    print(f"{how}; {len(pool)} volumes of {smallest:.0f} to {largest:.0f} voxels, mean Dice {dice:.3f}")
    print("| measure | region | aggregation | with the image's voxels | with the predicted voxels | with 1 - Dice |")
    print("|---|---|---|---:|---:|---:|")
    for kind in table.columns.drop(list(SIZES)):
        found = [float(spearmanr(table[kind].tolist(), table[size].tolist()).statistic) for size in SIZES]
        print(f"| {kind} | {' | '.join(f'{value:+.2f}' for value in found)} |")


def rows_of(file: Path, predictor: Predictor, repeats: int, kernels: Sequence[int]) -> dict[str, float]:
    """All numbers of one volume: sizes under their name, scores under measure, region and aggregation."""
    volume = read_volume(file)
    image = prepare_image(volume, RECIPE.preprocessing).tensor
    label = check_label(file.parents[1] / "labels" / file.name, volume.grid, LABELS)
    true_label = prepare_label(label.array, volume.grid, RECIPE.preprocessing)[0]
    statistics = predictor.sample(image, repeats, seed=0)
    row = {
        "image": float(true_label.numel()),
        "predicted": float(predicted_foreground(statistics.mean).sum()),
        "error": 1 - float(np.mean(list(dice_of(statistics.mean.argmax(dim=0), true_label)))),
    }
    for kernel in kernels:
        settings = RegionSettings(dilation_kernel=kernel, object_kernel=kernel)
        for score in volume_scores(statistics, settings, regions=("everything", "dilated_foreground", "object")):
            named = score.region if len(kernels) == 1 or score.region == "everything" else f"{score.region} {kernel}"
            row[f"{score.measure} | {named} | {score.aggregation}"] = score.value
    return row


def dice_of(predicted: Tensor, true_label: Tensor) -> Iterator[float]:
    """The Dice of each structure; 1 if it is in neither."""
    for value in range(1, len(LABELS) + 1):
        ours, theirs = predicted == value, true_label == value
        size = int(ours.sum()) + int(theirs.sum())
        yield 2 * int(torch.logical_and(ours, theirs).sum()) / size if size else 1.0


if __name__ == "__main__":
    main()
