"""Fewer passes over volumes of several windows: what they cost, and whether they rank as all repeats do.

    OMP_NUM_THREADS=1 python -m benchmarks.scoring.fewer_passes [--volumes 32] [--repeats 10] [--steps 300]

The network of `rahimi2022`, made small as in `borders.py`, is trained on patches of 32x32x32 voxels of 10 hippocampus
volumes that were made 1.75 times as long along each axis. It scores others, of which 32 slices in the middle are kept:
12 windows that overlap by a quarter, or 6 that overlap no more than they must. A ranking agrees by Spearman's
correlation of totals with that of all repeats in float32, in brackets a 95 % interval from 1000 resamples.
"""

import argparse
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from monai.losses import DiceCELoss
from numpy.typing import NDArray
from torch import Tensor, nn

from activelabel.acquisition.aggregation import total
from activelabel.acquisition.uncertainty import MEASURES
from activelabel.data.label_checking import check_label
from activelabel.data.preprocessing import prepare_image, prepare_label
from activelabel.data.volumes import read_volume
from activelabel.networks import build_network
from activelabel.prediction.devices.precision import PrecisionName
from activelabel.prediction.predictor import Predictor
from activelabel.prediction.racing import planned_passes, race
from activelabel.recipes import Recipe, load_recipe
from activelabel.training.cpu_layers import with_cpu_layers
from benchmarks.machine import DATA, cpu_name
from benchmarks.scoring.borders import small
from benchmarks.scoring.one_pass import interval
from benchmarks.scoring.ranking import LABELS, TRAINING_CASES, WEIGHTS_SEED

LENGTH = 32
LONGER = 1.75
CHECKED = (2, 4, 5, 8)
"""Repeats after which a score is kept too; a race looks after 2, 4, 8 and so on."""


@dataclass(frozen=True)
class Way:
    """A way to score volumes."""

    name: str
    overlap: float
    precision: PrecisionName
    seed: int


WAYS = (
    Way("all", 0.25, "float32", 0),
    Way("another seed", 0.25, "float32", 1),
    Way("windows apart, another seed", 0.0, "float32", 1),
    Way("bfloat16", 0.25, "bfloat16", 0),
)
Scores = dict[tuple[Way, int, str], list[float]]
"""The total of each volume by way, repeats and measure."""


def main() -> None:
    """Read the command line, train, score, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--volumes", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--steps", type=int, default=300, help="training steps of four patches each")
    arguments = parser.parse_args()
    print(f"{cpu_name()}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f} at start", flush=True)
    recipe = small(load_recipe("rahimi2022"), None)
    longer = {"spacing_mm": (1 / LONGER,) * 3, "intensity": "zscore"}
    recipe = recipe.model_copy(update={"preprocessing": recipe.preprocessing.model_copy(update=longer)})
    files = sorted((DATA / "hippocampus" / "images").glob("*.nii.gz"))
    network = train(recipe, [case(file, recipe) for file in files[:TRAINING_CASES]], arguments.steps)
    predictors = {way: Predictor(network, (LENGTH,) * 3, way.overlap, precision=way.precision) for way in WAYS}
    scores, seconds = Scores(), dict.fromkeys(WAYS, 0.0)
    for file in files[TRAINING_CASES : TRAINING_CASES + arguments.volumes]:
        volume = read_volume(file)
        image = prepare_image(volume, recipe.preprocessing).tensor
        first = max((image.shape[3] - LENGTH) // 2, 0)
        add_scores(scores, seconds, predictors, image[..., first : first + LENGTH].contiguous(), arguments.repeats)
    print_table(scores, seconds, arguments.repeats)


def case(file: Path, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """An image and its label, `(1, W, H, D)` each."""
    volume = read_volume(file)
    label = check_label(file.parents[1] / "labels" / file.name, volume.grid, LABELS)
    prepared = torch.as_tensor(prepare_label(label.array, volume.grid, recipe.preprocessing))
    image = prepare_image(volume, recipe.preprocessing).tensor
    return image, prepared.reshape(image.shape)


def train(recipe: Recipe, cases: list[tuple[Tensor, Tensor]], steps: int) -> nn.Module:
    """A network that has seen patches, half of them around a voxel of a structure."""
    torch.manual_seed(WEIGHTS_SEED)
    rng = np.random.default_rng(WEIGHTS_SEED)
    network = with_cpu_layers(build_network(recipe.network, 1 + len(LABELS))).train()
    loss = DiceCELoss(to_onehot_y=True, softmax=True)
    optimiser = torch.optim.Adam(network.parameters(), load_recipe("quick").training.learning_rate)
    for _ in range(steps):
        chosen = [patch(*cases[rng.integers(len(cases))], rng) for _ in range(4)]
        images, labels = (torch.stack(tensors) for tensors in zip(*chosen, strict=True))
        optimiser.zero_grad()
        loss(network(images), labels).backward()
        optimiser.step()
    plain = build_network(recipe.network, 1 + len(LABELS))
    plain.load_state_dict(network.state_dict())
    return plain


def patch(image: Tensor, label: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A patch of both."""
    size = np.array(image.shape[1:])
    drawn = torch.nonzero(label[0]).numpy()
    centre = rng.integers(size)
    if rng.random() < 0.5 and len(drawn):
        centre = drawn[rng.integers(len(drawn))] + rng.integers(-LENGTH // 4, LENGTH // 4 + 1, 3)
    x, y, z = np.clip(centre - LENGTH // 2, 0, size - LENGTH).tolist()
    box = (slice(None), slice(x, x + LENGTH), slice(y, y + LENGTH), slice(z, z + LENGTH))
    return image[box], label[box]


def add_scores(
    scores: Scores, seconds: dict[Way, float], predictors: Mapping[Way, Predictor], image: Tensor, repeats: int
) -> None:
    """Score an image in each way."""
    for way, predictor in predictors.items():
        statistics = predictor.new_statistics()
        for count in (*(one for one in CHECKED if one < repeats), repeats):
            started = time.process_time()
            statistics = predictor.sample(image, count - statistics.repeats, way.seed, statistics)
            seconds[way] += time.process_time() - started
            for measure, of in MEASURES.items():
                scores.setdefault((way, count, measure), []).append(total(of(statistics)))


def print_table(scores: Scores, seconds: Mapping[Way, float], repeats: int) -> None:
    """Print how each way ranks, what it costs, and what a race finds."""
    values: dict[tuple[Way, int, str], NDArray[np.float64]] = {key: np.array(found) for key, found in scores.items()}
    reference = WAYS[0]
    print("| way | repeats | cost | measure | ranks as all repeats |\n|---|---:|---:|---|---:|")
    for (way, count, measure), found in values.items():
        if way is not reference:
            cost = seconds[way] / seconds[reference] * count / repeats
            alike = interval(list(found[:, None]), list(values[reference, repeats, measure][:, None]))
            print(f"| {way.name} | {count} | {cost:.2f} | {measure} | {alike} |", flush=True)
    for measure in MEASURES:
        whole = values[reference, repeats, measure]
        places = max(len(whole) // 10, 1)
        kept = {count: found for (way, count, name), found in values.items() if way is reference and name == measure}
        raced = race(range(len(whole)), partial(of_race, kept), places, repeats)
        finalists = [one for one in raced if raced[one].repeats == repeats]
        found_top = set(sorted(finalists, key=lambda one: -raced[one].value)[:places])
        share = len(found_top & set(np.argsort(-whole)[:places].tolist())) / places
        passes = planned_passes(len(whole), places, repeats)
        print(f"race for {places} by {measure}: {passes} passes instead of {len(whole) * repeats}, ", end="")
        print(f"{share:.0%} of the first {places} found")


def of_race(kept: Mapping[int, NDArray[np.float64]], one: int, _done: int, repeats: int) -> float:
    """The score of a volume in a race, from those of all volumes by repeats."""
    return float(kept[repeats][one])


if __name__ == "__main__":
    main()
