"""Cheaper scores beside those of 20 Monte Carlo repeats: what they cost, whether they rank alike, and find errors.

    OMP_NUM_THREADS=1 python -m benchmarks.scoring.one_pass [--recipes quick rahimi2022] [--volumes 100]
    ... --networks DIR
    ... --seeds 3 --ways "another seed" "5 repeats" "one pass"     # some ways only, by a part of their names
    ... --recipes chlebus2022 --bare-patches

The network of a recipe, made small as in `borders.py`, is trained on 10 hippocampus volumes and scores others, whose
labels it has never seen. Each way of scoring sees a volume right after the others, and its seconds are those of the
processor. Ways with repeats use another seed than the 20 with which they are compared. A ranking agrees by Spearman's
correlation over the volumes; so does a score with the errors, 1 - Dice. A score of slices is the mean over each, ranks
the slices of all volumes together, and its errors are the share of voxels with a wrong label; a row of its own has the
share of the slices that chlebus2022 would ask for first by 20 repeats which are asked for first this way too. In
brackets are 95 % intervals, from 1000 resamples of the volumes. With several seeds of training, a last table has each
way's mean over them.
"""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor, nn

from activelabel.acquisition.slice_selection import peaks_first
from activelabel.acquisition.uncertainty import MonteCarloStatistics
from activelabel.data.label_checking import check_label
from activelabel.data.labels.label_map import label_map_of
from activelabel.data.preprocessing import PreparedImage, prepare_image, restore_label
from activelabel.data.slices import slice_axis
from activelabel.data.volumes import read_volume
from activelabel.networks import build_network
from activelabel.prediction.dropout import random_layers
from activelabel.prediction.image_scores import image_scores
from activelabel.prediction.predictor import Predictor
from activelabel.prediction.windows import Size3D
from activelabel.recipes import Recipe, load_recipe, recipe_names
from activelabel.training.evaluation import class_dice, mean_dice
from benchmarks.machine import DATA, cpu_name
from benchmarks.scoring.borders import FIRST_SLICES, patch_size, small, train, window_of
from benchmarks.scoring.ranking import LABELS, TRAINING_CASES, WEIGHTS_SEED

REPEATS = 20
MARK = 0.95
RESAMPLES = 1000
SLICES = "slices"
KINDS = {("everything", "total"): "total", ("everything", "mean"): "mean", ("object", "mean"): "object"}
"""What a region and an aggregation is called here."""
SNAPSHOTS = (20, 10, 0)
"""How many steps before the end of the training a network is kept."""
TEMPERATURES = (1.25, 1.5, 2.0, 3.0)


@dataclass(frozen=True)
class Way:
    """A way to score, from an image `(1, W, H, D)` to its statistics."""

    name: str
    sample: Callable[[Tensor], MonteCarloStatistics]


OfVolumes = Sequence[NDArray[np.float64]]
"""Values of each volume: one, or those of its slices."""


@dataclass(frozen=True)
class Found:
    """The scores of all volumes by one way, by measure and aggregation, and its processor seconds."""

    scores: Mapping[tuple[str, str], OfVolumes]
    seconds: float


@dataclass(frozen=True)
class Row:
    """What a way costs beside the reference, and how its ranking by one score agrees with it and with the errors."""

    way: str
    kind: tuple[str, str]
    cost: float
    alike: float
    wrong: float


def main() -> None:
    """Read the command line, train, score, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipes", nargs="+", choices=recipe_names(), default=["quick", "rahimi2022"])
    parser.add_argument("--steps", type=int, default=200, help="training steps of two volumes each")
    parser.add_argument("--volumes", type=int, default=100, help="how many are scored")
    parser.add_argument("--networks", type=Path, help="a folder for trained networks, used by the next call")
    parser.add_argument("--seeds", type=int, default=1, help="trainings, each from other first weights")
    parser.add_argument("--ways", nargs="+", default=[""], help="parts of the names of the ways to compare")
    parser.add_argument("--bare-patches", action="store_true", help="train without the margin of windows")
    arguments = parser.parse_args()
    files = sorted((DATA / "hippocampus" / "images").glob("*.nii.gz"))
    if len(files) <= TRAINING_CASES:
        parser.error(f"no hippocampus images in {DATA}: name the folder of the real images in ACTIVELABEL_DATA")
    pool = files[TRAINING_CASES : TRAINING_CASES + arguments.volumes]
    print(f"{cpu_name()}, {torch.get_num_threads()} threads, torch {torch.__version__}, float32")
    print(f"{arguments.steps} steps on {TRAINING_CASES} cases, seeds from {WEIGHTS_SEED} on; {len(pool)} volumes")
    for name in arguments.recipes:
        recipe = small(load_recipe(name), None)
        window = window_of(recipe, patch_size(recipe, files))
        patch = patch_size(without_margin(recipe) if arguments.bare_patches else recipe, files)
        rows = []
        for seed in range(WEIGHTS_SEED, WEIGHTS_SEED + arguments.seeds):
            networks = trained(recipe, files, patch, arguments.steps, arguments.networks, seed)
            reference, *others = ways_of(recipe, networks, window)
            chosen = [way for way in others if any(part in way.name for part in arguments.ways)]
            print(f"\n{recipe.name}, windows {'x'.join(map(str, window))}, seed {seed}: ", end="")
            rows.append(compare(recipe, [reference, *chosen], pool))
        if len(rows) > 1:
            print_means(rows)


def without_margin(recipe: Recipe) -> Recipe:
    """The recipe with windows that end where a volume does."""
    bare = recipe.prediction.model_copy(update={"window_margin": (0, 0, 0)})
    return recipe.model_copy(update={"prediction": bare})


def trained(
    recipe: Recipe, files: list[Path], patch: Size3D, steps: int, folder: Path | None, seed: int
) -> list[nn.Module]:
    """The network after its training and, before it, some snapshots on the way; from `folder` if they are there."""
    wanted = [steps - apart for apart in SNAPSHOTS]
    kept = None if folder is None else folder / f"{recipe.name}_{patch[0]}_{steps}_{seed}.pt"
    states: list[dict[str, Tensor]] = []
    if kept is not None and kept.is_file():
        states = torch.load(kept, weights_only=True)
    else:

        def keep(step: int, network: nn.Module) -> None:
            if step in wanted:
                states.append({name: value.clone() for name, value in network.state_dict().items()})

        train(recipe, files[:TRAINING_CASES], steps, patch, keep, seed)
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            torch.save(states, kept)
    networks = [build_network(recipe.network, 1 + len(LABELS)) for _ in states]
    for network, state in zip(networks, states, strict=True):
        network.load_state_dict(state)
    return networks


def ways_of(recipe: Recipe, networks: list[nn.Module], window: tuple[int, int, int]) -> list[Way]:
    """The ways to compare, the first of which is the reference; the last network is the one in use."""

    def predictor(network: nn.Module, last_layers: int | None = None) -> Predictor:
        overlap, margin = recipe.prediction.window_overlap, recipe.prediction.window_margin
        return Predictor(network, window, overlap, precision="float32", last_layers=last_layers, margin=margin)

    snapshots = [predictor(network) for network in networks]
    whole, last = snapshots[-1], predictor(networks[-1], last_layers=1)

    def repeats(count: int, seed: int, of: Predictor = whole) -> Callable[[Tensor], MonteCarloStatistics]:
        return lambda image: of.sample(image, count, seed)

    def passes(*of: Callable[[Tensor], Tensor], temperature: float = 1.0) -> Callable[[Tensor], MonteCarloStatistics]:
        def sample(image: Tensor) -> MonteCarloStatistics:
            probabilities = torch.stack([softened(one(image), temperature) for one in of]).mean(dim=0)
            return MonteCarloStatistics.of_single_pass(probabilities)

        return sample

    one = whole.probabilities
    return [
        Way(f"all {len(random_layers(networks[-1]))} layers, {REPEATS} repeats", repeats(REPEATS, 0)),
        Way(f"all layers, {REPEATS} repeats, another seed", repeats(REPEATS, 1)),
        Way("all layers, 5 repeats", repeats(5, 1)),
        Way(f"last layer, {REPEATS} repeats", repeats(REPEATS, 1, last)),
        Way("one pass without dropout", passes(one)),
        *(Way(f"one pass, temperature {value:g}", passes(one, temperature=value)) for value in TEMPERATURES),
        Way("two passes, mirrored", passes(one, mirrored(one, 1))),
        Way("two passes, mirrored, temperature 1.5", passes(one, mirrored(one, 1), temperature=1.5)),
        Way("four passes, mirrored", passes(one, *(mirrored(one, axis) for axis in (1, 2, 3)))),
        Way(f"{len(snapshots)} snapshots, a pass each", passes(*(each.probabilities for each in snapshots))),
    ]


def softened(probabilities: Tensor, temperature: float) -> Tensor:
    """The softmax `(C, *S)` of the logits divided by a temperature, from their softmax."""
    if temperature == 1:
        return probabilities
    powers = probabilities ** (1 / temperature)
    return powers / powers.sum(dim=0)


def mirrored(of: Callable[[Tensor], Tensor], axis: int) -> Callable[[Tensor], Tensor]:
    """The prediction of the image mirrored along an axis, mirrored back."""
    return lambda image: of(image.flip(axis)).flip(axis)


def compare(recipe: Recipe, ways: list[Way], pool: list[Path]) -> list[Row]:
    """Score the pool in each way, print the table, and return its rows without the first way's."""
    seconds = dict.fromkeys(ways, 0.0)
    scores: dict[Way, list[dict[tuple[str, str], NDArray[np.float64]]]] = {way: [] for way in ways}
    errors: list[NDArray[np.float64]] = []
    wrong_voxels: list[NDArray[np.float64]] = []
    for file in pool:
        image = prepare_image(volume := read_volume(file), recipe.preprocessing)
        axis = slice_axis(volume.grid, recipe.preprocessing.slice_plane)
        for way in ways:
            started = time.process_time()
            statistics = way.sample(image.tensor)
            seconds[way] += time.process_time() - started
            scores[way].append(scores_of(statistics, image, recipe, axis))
            if way is ways[0]:
                drawn = restore_label(statistics.mean, image, label_map_of(LABELS))
        reference = check_label(file.parents[1] / "labels" / file.name, volume.grid, LABELS).array
        errors.append(np.array([1 - (mean_dice(class_dice(drawn, reference, LABELS)) or 0.0)]))
        wrong_voxels.append(np.moveaxis(drawn != reference, axis, 0).mean(axis=(1, 2)))
    found = {
        way: Found({kind: [row[kind] for row in of] for kind in of[0]}, seconds[way]) for way, of in scores.items()
    }
    print(f"mean Dice {1 - np.mean(errors):.3f}")
    return print_table(found, errors, wrong_voxels, recipe.query.min_slice_distance)


def scores_of(
    statistics: MonteCarloStatistics, image: PreparedImage, recipe: Recipe, axis: int
) -> dict[tuple[str, str], NDArray[np.float64]]:
    """Each measure that there is: total and mean over everything, mean over the object, and the mean of each slice."""
    found: dict[tuple[str, str], NDArray[np.float64]] = {}
    for score in image_scores(statistics, image, recipe.regions, axis, regions=("everything", "object")):
        kind = KINDS.get((score.region, score.aggregation))
        if kind is not None:
            found[score.measure, kind] = np.array([score.value])
        if kind == "mean":
            found[score.measure, SLICES] = np.array(score.slices)
    return found


def print_table(found: Mapping[Way, Found], errors: OfVolumes, wrong_voxels: OfVolumes, distance: int) -> list[Row]:
    """Print each way beside the first: cost, agreement of its ranking, and agreement with errors."""
    rows = []
    reference = next(iter(found.values()))
    print("| way | cost | score | ranks as 20 repeats: Spearman | kept | ranks as 1 - Dice |")
    print("|---|---:|---|---:|---|---:|")
    for way, mine in found.items():
        cost = mine.seconds / reference.seconds
        for kind, values in mine.scores.items():
            theirs, of_slices = reference.scores[kind], kind[1] == SLICES
            of_errors = wrong_voxels if of_slices else errors
            alike = "" if mine is reference else interval(values, theirs)
            kept = "" if mine is reference else "yes" if rank(values, theirs) >= MARK else "no"
            print(f"| {way.name} | {cost:.3f} | {kind[0]}, {kind[1]} | {alike} | {kept} | ", end="")
            print(f"{interval(values, of_errors)} |", flush=True)
            if mine is reference:
                continue
            rows.append(Row(way.name, kind, cost, rank(values, theirs), rank(values, of_errors)))
            if of_slices:
                same = same_first(values, theirs, distance)
                print(f"| {way.name} | | {kind[0]}, first {FIRST_SLICES} slices | {same:.0%} | | |", flush=True)
    return rows


def same_first(values: OfVolumes, theirs: OfVolumes, distance: int) -> float:
    """The share of the first slices by one score that are also asked for first by another (chlebus2022, II.E)."""
    profiles = ({str(number): profile.tolist() for number, profile in enumerate(of)} for of in (values, theirs))
    first, others = ({one for one, _ in peaks_first(of, distance)[:FIRST_SLICES]} for of in profiles)
    return len(first & others) / len(others)


def print_means(seeds: list[list[Row]]) -> None:
    """Print the mean over the seeds of each way and score, and its range of agreement."""
    print("\n| way | cost | score | ranks as 20 repeats: mean [least, most] | kept | ranks as 1 - Dice |")
    print("|---|---:|---|---:|---|---:|")
    for rows in zip(*seeds, strict=True):
        first, alike = rows[0], [row.alike for row in rows]
        cost, wrong = np.mean([row.cost for row in rows]), np.mean([row.wrong for row in rows])
        kept = "yes" if np.mean(alike) >= MARK else "no"
        alike_text = f"{np.mean(alike):.3f} [{min(alike):.3f}, {max(alike):.3f}]"
        print(f"| {first.way} | {cost:.3f} | {first.kind[0]}, {first.kind[1]} | {alike_text} | {kept} | {wrong:.3f} |")


def interval(a: OfVolumes, b: OfVolumes) -> str:
    """Spearman's correlation over all values, and its 95 % interval from resamples of the volumes."""
    rng = np.random.default_rng(WEIGHTS_SEED)
    drawn = rng.integers(len(a), size=(RESAMPLES, len(a)))
    found = [rank([a[place] for place in places], [b[place] for place in places]) for places in drawn.tolist()]
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return f"{rank(a, b):.3f} [{low:.3f}, {high:.3f}]"


def rank(a: OfVolumes, b: OfVolumes) -> float:
    """Spearman's correlation; NaN where all values are the same."""
    ranks = [rankdata(np.concatenate(values)) for values in (a, b)]
    if any(np.ptp(of) == 0 for of in ranks):
        return float("nan")
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


if __name__ == "__main__":
    main()
