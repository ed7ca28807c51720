"""The queries of plain and selective uncertainty (ma2024), with trained networks, for each of the five measures.

    python -m benchmarks.asking.selective [--seeds 3] [--repeats 10] [--figure docs/pictures/selective.png]

- BraTS: a 2D network learns from 10 slices of each of two patients, and asks for slices of the two others. Each seed
  pairs the four patients in another way and is run both ways round: three seeds are all six ways to leave two out.
- Hippocampus: a 3D network learns from five volumes, and asks for volumes, or for slices, of the others.

Two shares of the pool are asked for: that of a round on BraTS in ma2024, and a tenth. *Plain* ranks by the sum over
everything, *selective* by the sums over target and boundary (eq. 3 to 5), *by means* by the means over these two, as
the released code of ma2024 does. *Redundancy* is the mean cosine similarity of the network's features between two
queries, with the pool's mean subtracted: about 0 for any two of the pool, 1 for copies. Slices that hold target are
more alike than others, so compare it with that of random slices that hold target.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from activelabel.acquisition.selection import Source, selective_sources, selective_union, shuffled, top_k
from activelabel.acquisition.uncertainty import MEASURES
from activelabel.prediction.devices.precision import choose_precision
from activelabel.recipes import NetworkSettings, RegionSettings, load_recipe
from benchmarks.asking.selective_figure import draw
from benchmarks.asking.selective_pools import (
    Design,
    Pool,
    brats_cases,
    build_pools,
    hippocampus_cases,
    slice_examples,
    train,
    volume_example,
)
from benchmarks.machine import DATA, cpu_name

SHARES = (100 / 7750, 0.1)  # ma2024 asks for 100 of the 50 × 155 slices that it has of BraTS to train on
QUICK = load_recipe("quick")
SLICES_2D = Design(
    # Normalised over the batch, like the network of ma2024's released code: normalisation over a slice would remove
    # most of the information on the amount of tumour from the features.
    NetworkSettings(**{**QUICK.network.model_dump(), "kind": "unet2d", "normalisation": "batch"}),
    classes=2,
    window_size=(80, 96, 1),
    steps=150,
    batch_size=16,
    learning_rate=3e-3,
)
VOLUMES_3D = Design(
    QUICK.network,
    classes=3,
    window_size=QUICK.prediction.window_size,
    steps=150,
    batch_size=2,
    learning_rate=QUICK.training.learning_rate,
)
SLICES_PER_PATIENT = 10  # the 500 slices that ma2024 starts with, of 50 patients
RANDOM_TARGET = "random, with target"
SELECTIVE, MEANS = "selective ", " by means"
COLUMNS = (
    *("hold target: plain", "selective", "by means"),
    *("redundancy: plain", "selective", "by means"),
    *("in plain's list too: selective", "by means"),
    "selective: from the target's list",
)
PAIRINGS = (((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2)))
TRAINING_VOLUMES = 5

Run = tuple[Pool, Pool, float]
"""One trained network: the slices, the volumes, and the Dice over them."""
Asked = dict[str, Source | None]
"""The ids that were asked for, each with the list that the selective strategy took it from."""


class Judged(NamedTuple):
    """The judgement of queries: the share that holds target, their redundancy, and their sources."""

    hold_target: float
    redundancy: float
    in_plain: float
    from_target: float


def main() -> None:
    """Train, ask, and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=10, help="of Monte Carlo dropout")
    parser.add_argument("--figure", type=Path, default=Path("docs/pictures/selective.png"))
    arguments = parser.parse_args()
    if not (DATA / "brats2015").is_dir() or not (DATA / "hippocampus").is_dir():
        parser.error(f"no brats2015 and hippocampus in {DATA}: name the folder of the real images in ACTIVELABEL_DATA")
    precision = choose_precision("auto", torch.device("cpu"))
    print(f"{cpu_name()}, {torch.get_num_threads()} threads, torch {torch.__version__}, {precision}")
    print(f"{arguments.seeds} seeds, {arguments.repeats} repeats, {RegionSettings()}\n")
    brats = run_brats(arguments.seeds, arguments.repeats)
    report("BraTS, slices", [slices for slices, _, _ in brats], dices(brats))
    report_orders(brats)
    draw_asked(brats[0][0], arguments.figure)
    hippocampus = run_hippocampus(arguments.seeds, arguments.repeats)
    report("Hippocampus, slices", [slices for slices, _, _ in hippocampus], dices(hippocampus))
    report("Hippocampus, volumes", [volumes for _, volumes, _ in hippocampus], dices(hippocampus))


def run_brats(seeds: int, repeats: int) -> list[Run]:
    """Two runs for each seed: a network trained on one half of the patients scores the other half, both ways round."""
    cases = brats_cases()
    runs = []
    for seed in range(seeds):
        for known, asked in (PAIRINGS[seed % 3], PAIRINGS[seed % 3][::-1]):
            generator = np.random.default_rng(seed)
            examples = [
                example
                for case in (cases[index] for index in known)
                for example in slice_examples(
                    case,
                    SLICES_2D.window_size,
                    generator.choice(case.image.shape[-1], SLICES_PER_PATIENT, replace=False).tolist(),
                )
            ]
            network = train(SLICES_2D, examples, seed)
            runs.append(build_pools(network, SLICES_2D, [cases[index] for index in asked], repeats, seed))
    return runs


def run_hippocampus(seeds: int, repeats: int) -> list[Run]:
    """One run for each seed, each with other training volumes."""
    cases = {case.name: case for case in hippocampus_cases()}
    runs = []
    for seed in range(seeds):
        names = shuffled(cases, seed)
        examples = [volume_example(cases[name], VOLUMES_3D.window_size) for name in names[:TRAINING_VOLUMES]]
        network = train(VOLUMES_3D, examples, seed)
        pool = [cases[name] for name in sorted(names[TRAINING_VOLUMES:])]
        runs.append(build_pools(network, VOLUMES_3D, pool, repeats, seed))
    return runs


def ask(pool: Pool, k: int, seed: int) -> dict[str, Asked]:
    """The queries of each way of asking: at random, and plain and selective by each measure."""
    with_target = [id for id, voxels in pool.target_voxels.items() if voxels]
    asked: dict[str, Asked] = {
        "random": dict.fromkeys(shuffled(pool.features, seed)[:k]),
        RANDOM_TARGET: dict.fromkeys(shuffled(with_target, seed)[:k]),
    }
    for measure in MEASURES:
        asked[measure] = dict.fromkeys(top_k(pool.scores[measure, "everything", "total"], k))
        for way, aggregation in ((SELECTIVE + measure, "total"), (SELECTIVE + measure + MEANS, "mean")):
            target, boundary = (pool.scores[measure, region, aggregation] for region in ("target", "boundary"))
            asked[way] = dict(selective_sources(target, boundary, k))
    return asked


def judge(pool: Pool, k: int, seed: int) -> dict[str, Judged]:
    """The judgement of each way of asking."""
    asked = ask(pool, k, seed)
    mean = torch.stack(list(pool.features.values())).mean(dim=0)
    judged = {}
    for way, chosen in asked.items():
        plain = asked[way.removesuffix(MEANS).removeprefix(SELECTIVE)]
        judged[way] = Judged(
            hold_target=sum(pool.target_voxels[id] > 0 for id in chosen) / k,
            redundancy=mean_similarity(torch.stack([pool.features[id] for id in chosen]) - mean),
            in_plain=len(chosen.keys() & plain.keys()) / k,
            from_target=list(chosen.values()).count("target") / k,
        )
    return judged


def mean_similarity(features: Tensor) -> float:
    """Mean cosine similarity between any two different rows of `features`, `(n, channels)`, n at least 2."""
    directions = functional.normalize(features.double(), dim=1)
    n = len(directions)
    # The square of the sum holds each pair twice, and each row with itself, which adds 1.
    return (float(directions.sum(dim=0).square().sum()) - n) / (n * (n - 1))


def report(title: str, pools: Sequence[Pool], conditions: str) -> None:
    """Print the contents of the pools, and a table for each share of them that is asked for."""
    sizes = [len(pool.features) for pool in pools]
    print(f"## {title}: {len(pools)} runs, pool of {min(sizes)} to {max(sizes)}, {conditions}")
    print(contents(pools) + "\n")
    for share in SHARES:
        k = round(share * min(sizes))
        runs = [judge(pool, k, seed) for seed, pool in enumerate(pools)]
        print(f"| {k} asked for by | {' | '.join(COLUMNS)} |")
        print("|---" + "|---:" * len(COLUMNS) + "|")
        for way in ("random", RANDOM_TARGET, *MEASURES):
            print(f"| {way} | {' | '.join(row(way, runs))} |")
        print()


def row(way: str, runs: Sequence[Mapping[str, Judged]]) -> list[str]:
    """The cells of a way of asking, under `COLUMNS`; random has only the plain variant."""

    def cell(variant: str, number: Callable[[Judged], float]) -> str:
        return spread([number(run[variant]) for run in runs]) if variant in runs[0] else ""

    selective = SELECTIVE + way
    means = selective + MEANS
    return [
        *(cell(variant, lambda judged: judged.hold_target) for variant in (way, selective, means)),
        *(cell(variant, lambda judged: judged.redundancy) for variant in (way, selective, means)),
        *(cell(variant, lambda judged: judged.in_plain) for variant in (selective, means)),
        cell(selective, lambda judged: judged.from_target),
    ]


def contents(pools: Sequence[Pool]) -> str:
    """The shares of the pools with target and without a region, and the share of all entropy in each region."""
    holding = spread([float(np.mean([voxels > 0 for voxels in pool.target_voxels.values()])) for pool in pools])
    lines = [f"hold target: {holding}"]
    for region in ("target", "boundary"):
        sums = [{key: sum(scores.values()) for key, scores in pool.scores.items()} for pool in pools]
        within = spread([total["entropy", region, "total"] / total["entropy", "everything", "total"] for total in sums])
        empty = spread(
            [list(pool.scores["entropy", region, "total"].values()).count(0) / len(pool.features) for pool in pools]
        )
        lines.append(f"of all entropy in the {region}: {within}; without that region: {empty}")
    alike = spread([mean_similarity(torch.stack(list(pool.features.values()))) for pool in pools])
    return "\n".join([*lines, f"similarity of any two before the mean is subtracted: {alike}"])


def report_orders(runs: Sequence[Run]) -> None:
    """Print the order of the four patients as volumes, each scored by a network that never saw it."""
    pairings = [
        {key: {**first[1].scores[key], **second[1].scores[key]} for key in first[1].scores}
        for first, second in zip(runs[::2], runs[1::2], strict=True)
    ]
    print("| BraTS, volumes | " + " | ".join(f"seed {seed}: plain | selective" for seed in range(len(pairings))) + " |")
    print("|---|" + "---|---|" * len(pairings))
    for measure in MEASURES:
        cells = []
        for scores in pairings:
            plain = top_k(scores[measure, "everything", "total"], 4)
            target, boundary = (scores[measure, region, "total"] for region in ("target", "boundary"))
            selective = selective_union(target, boundary, 4)
            cells += [" ".join(patient_number(name) for name in order) for order in (plain, selective)]
        print(f"| {measure} | {' | '.join(cells)} |")
    print()


def patient_number(name: str) -> str:
    """`4` for `brats_2013_pat0004_1`."""
    return name.split("_")[2].removeprefix("pat").lstrip("0")


def draw_asked(pool: Pool, path: Path) -> None:
    """Draw the queries at random, by entropy and by both variants of selective entropy, a tenth of the pool each."""
    asked = ask(pool, round(SHARES[-1] * len(pool.features)), seed=0)
    draw(
        pool,
        {way: asked[way] for way in ("random", "entropy", "selective entropy", "selective entropy by means")},
        path,
    )


def dices(runs: Sequence[Run]) -> str:
    """The Dice of the networks."""
    return f"Dice of the foreground {spread([dice for _, _, dice in runs])}"


def spread(values: Sequence[float]) -> str:
    """The mean, and the range if its ends differ in the second decimal."""
    # Adding 0.0 makes a rounded -0.0 positive.
    mean, low, high = (f"{round(value, 2) + 0.0:.2f}" for value in (float(np.mean(values)), min(values), max(values)))
    return mean if low == high else f"{mean} ({low} to {high})"


if __name__ == "__main__":
    main()
