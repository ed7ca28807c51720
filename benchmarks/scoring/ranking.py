"""The effect of faster scoring on the ranking: bfloat16 against float32, and racing against all repeats.

    python -m benchmarks.scoring.ranking [--steps 200] [--repeats 20] [--seeds 3]

A network of the recipe `quick` is trained for a minute on 10 hippocampus volumes, and all others are ranked by the
total of a measure over the volume. The agreement of two seeds shows how much of a ranking is chance.
"""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from monai.losses import DiceCELoss
from monai.transforms import ResizeWithPadOrCrop
from scipy.stats import spearmanr
from torch import Tensor, nn

from activelabel.acquisition.aggregation import total
from activelabel.acquisition.selection import top_k
from activelabel.acquisition.uncertainty import MEASURES, MonteCarloStatistics
from activelabel.data.label_checking import check_label
from activelabel.data.preprocessing import prepare_image, prepare_label
from activelabel.data.volumes import read_volume
from activelabel.networks.unet import build_unet
from activelabel.prediction.devices.precision import PrecisionName
from activelabel.prediction.predictor import Predictor
from activelabel.prediction.racing import race
from activelabel.recipes import load_recipe
from benchmarks.machine import DATA, cpu_name
from benchmarks.training.steps import Example, learn

RECIPE = load_recipe("quick")
LABELS = ("anterior", "posterior")
TRAINING_CASES = 10
WEIGHTS_SEED = 20261120

Scores = Mapping[str, float]


def main() -> None:
    """Read the command line, train, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200, help="training steps of two volumes each")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds of Monte Carlo dropout")
    arguments = parser.parse_args()
    files = sorted((DATA / "hippocampus" / "images").glob("*.nii.gz"))
    if len(files) <= TRAINING_CASES:
        parser.error(f"no hippocampus images in {DATA}: name the folder of the real images in ACTIVELABEL_DATA")
    print(f"{cpu_name()}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f} at start", flush=True)
    network = train(files[:TRAINING_CASES], arguments.steps)
    pool = {file.name: prepare_image(read_volume(file), RECIPE.preprocessing).tensor for file in files[TRAINING_CASES:]}
    print(f"{len(pool)} volumes, {arguments.repeats} repeats, {arguments.steps} training steps, seed {WEIGHTS_SEED}")
    compare_precisions(network, pool, arguments.repeats, range(arguments.seeds))
    compare_racing(network, pool, arguments.repeats, range(arguments.seeds))


def train(files: Sequence[Path], steps: int) -> nn.Module:
    """A network that has seen each of `files` some times: not a good one, but its uncertainty is localised."""
    torch.manual_seed(WEIGHTS_SEED)
    network = build_unet(RECIPE.network, 1 + len(LABELS)).train()
    cases = [load_case(file) for file in files]
    loss = DiceCELoss(to_onehot_y=True, softmax=True)
    batches = ([cases[(2 * step + item) % len(cases)] for item in range(2)] for step in range(steps))
    return learn(network, batches, loss, RECIPE.training.learning_rate)


def load_case(file: Path) -> Example:
    """Image and label, padded or cut to the window: both `(1, *window_size)`."""
    volume = read_volume(file)
    label = check_label(file.parents[1] / "labels" / file.name, volume.grid, LABELS)
    fit = ResizeWithPadOrCrop(RECIPE.prediction.window_size)
    image = prepare_image(volume, RECIPE.preprocessing).tensor
    return fit(image).as_tensor(), fit(prepare_label(label.array, volume.grid, RECIPE.preprocessing)).as_tensor()


def build_predictor(network: nn.Module, precision: PrecisionName) -> Predictor:
    """The predictor of the recipe."""
    return Predictor(network, RECIPE.prediction.window_size, RECIPE.prediction.window_overlap, precision=precision)


def rank_all(predictor: Predictor, pool: Mapping[str, Tensor], repeats: int, seed: int) -> dict[str, Scores]:
    """The score of each volume, for each measure."""
    scores: dict[str, dict[str, float]] = {measure: {} for measure in MEASURES}
    for name, image in pool.items():
        statistics = predictor.sample(image, repeats, seed)
        for measure, of in MEASURES.items():
            scores[measure][name] = total(of(statistics))
    return dict(scores)


def compare_precisions(network: nn.Module, pool: Mapping[str, Tensor], repeats: int, seeds: range) -> None:
    """Print the agreement of bfloat16 with float32, and of float32 with itself under another seed."""
    precise, fast = (
        [rank_all(build_predictor(network, name), pool, repeats, seed) for seed in seeds]
        for name in ("float32", "bfloat16")
    )
    print("| measure | bfloat16 and float32: Spearman | same top 10 % | two seeds: Spearman | same top 10 % |")
    print("|---|---:|---:|---:|---:|")
    for measure in MEASURES:
        same_seed = [(a[measure], b[measure]) for a, b in zip(precise, fast, strict=True)]
        two_seeds = [(a[measure], b[measure]) for a, b in zip(precise, precise[1:] + precise[:1], strict=True)]
        print(f"| {measure} | {agreement(same_seed)} | {agreement(two_seeds)} |")


def agreement(pairs: Sequence[tuple[Scores, Scores]]) -> str:
    """The smallest Spearman correlation and the smallest overlap of the top 10 % over all pairs of rankings."""
    correlations = [float(spearmanr([a[name] for name in a], [b[name] for name in a]).statistic) for a, b in pairs]
    overlaps = [overlap(top_k(a, tenth(len(a))), top_k(b, tenth(len(b)))) for a, b in pairs]
    return f"{min(correlations):.4f} | {min(overlaps):.0%}"


def compare_racing(network: nn.Module, pool: Mapping[str, Tensor], repeats: int, seeds: range) -> None:
    """Print the share of passes that racing saves, and the share of the full ranking's top 10 % that it finds."""
    predictor = build_predictor(network, "auto")
    k = tenth(len(pool))
    print(f"| racing for the top {k} | passes of all | passes | times fewer | found of the top 10 % |")
    print("|---|---:|---:|---:|---:|")
    for seed in seeds:
        full = rank_all(predictor, pool, repeats, seed)
        for measure in MEASURES:
            raced = race(list(pool), sampler(predictor, pool, measure, seed), k, repeats)
            finished = {name: score.value for name, score in raced.items() if score.repeats == repeats}
            passes, all_passes = sum(score.repeats for score in raced.values()), repeats * len(pool)
            found = overlap(top_k(finished, k), top_k(full[measure], k))
            print(f"| {measure}, seed {seed} | {all_passes} | {passes} | {all_passes / passes:.1f} | {found:.0%} |")


def sampler(
    predictor: Predictor, pool: Mapping[str, Tensor], measure: str, seed: int
) -> Callable[[str, int, int], float]:
    """The function that `race` calls, with the statistics of every volume kept in memory."""
    kept: dict[str, MonteCarloStatistics] = {name: MonteCarloStatistics() for name in pool}

    def score(name: str, first: int, last: int) -> float:
        return total(MEASURES[measure](predictor.sample(pool[name], last - first, seed, kept[name])))

    return score


def tenth(count: int) -> int:
    """The number of volumes in the top 10 %."""
    return max(count // 10, 1)


def overlap(found: Sequence[str], wanted: Sequence[str]) -> float:
    """The share of `wanted` that is in `found`."""
    return len(set(found) & set(wanted)) / len(wanted)


if __name__ == "__main__":
    main()
