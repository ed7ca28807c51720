"""The first volumes of each cold start, without any label: are volumes with tumours among them?

    OMP_NUM_THREADS=1 python -m benchmarks.asking.warm_start [--seeds 3] [--first 8]

The recipe `quick_warm` trains its proxy model on pseudo-labels of the phantoms, of which a third have a liver tumour,
and of 30 hippocampus volumes; then each cold start orders the pool. nath2022 (fig. 4) says that volumes with
abnormalities tend to be more uncertain: the measure here is the probability that a volume with a tumour comes before
one without.
"""

import argparse
import itertools
import shutil
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel
import numpy as np
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from activelabel.acquisition.diversity import coreset, typiclust
from activelabel.acquisition.selection import shuffled, top_k
from activelabel.data.files.image_files import ImageFiles
from activelabel.loop.proxy_scoring import ProxyScoring
from activelabel.loop.training.proxy import ProxyTraining
from activelabel.project.models.features import Features, features_file, read_features
from activelabel.project.models.proxy import current_proxy, rank_kind
from activelabel.project.opening import open_project
from activelabel.project.project import Project
from benchmarks.machine import DATA

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "pictures" / "warm_start.png"
HIPPOCAMPUS_CASES = 30
TUMOUR = 4
Orders = Mapping[str, Sequence[str]]
"""By cold start, all volumes of a pool in its order."""


class Pool:
    """Images, and the files of their labels, which are only used to judge."""

    def __init__(self, name: str, images: Sequence[Path], labels: Path, names: str) -> None:
        self.name = name
        self.images = {file.name.split(".")[0]: file for file in images}
        self.labels = labels
        self.names = names

    def image_files(self, image_id: str) -> ImageFiles:
        """The file of an image."""
        return ImageFiles(self.images[image_id])

    def with_tumour(self) -> set[str]:
        """The volumes whose label holds the phantoms' tumour."""
        return {
            image_id
            for image_id in self.images
            if (np.asarray(nibabel.load(self.labels / f"{image_id}.nii.gz").dataobj) == TUMOUR).any()
        }


def main() -> None:
    """Read the command line, train a proxy model for each seed, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=8, help="how many volumes are asked for before the first model")
    arguments = parser.parse_args()
    phantoms = Pool(
        "phantoms",
        sorted((ROOT / "sample-data" / "abdomen").glob("*.nii.gz")),
        ROOT / "sample-data" / "abdomen-labels",
        "liver,spleen,kidneys,tumour",
    )
    hippocampus = Pool(
        "hippocampus",
        sorted((DATA / "hippocampus" / "images").glob("*.nii.gz"))[:HIPPOCAMPUS_CASES],
        DATA / "hippocampus" / "labels",
        "anterior,posterior",
    )
    for pool in (phantoms, hippocampus):
        if not pool.images:
            parser.error(f"no images of {pool.name}: run `make run` once, or name the real images in ACTIVELABEL_DATA")
        runs = [order_pool(pool, seed) for seed in range(arguments.seeds)]
        report(pool, runs, arguments.first)
        if pool is phantoms:
            draw(runs, pool.with_tumour(), arguments.first)


def order_pool(pool: Pool, seed: int) -> tuple[Mapping[str, float], Orders]:
    """The proxy model's scores, and the order of each cold start, all with one seed."""
    with tempfile.TemporaryDirectory() as work:
        studies = Path(work) / "studies"
        studies.mkdir()
        for file in pool.images.values():
            shutil.copy(file, studies)
        conf = {"recipe": "quick_warm", "labels": pool.names, "seed": str(seed), "device": "cpu"}
        project = open_project(work, str(studies), conf)
        project.ledger.sync_images(pool.images, project.recipe.training.validation_cases)
        return scores_and_orders(project, pool, seed)


def scores_and_orders(project: Project, pool: Pool, seed: int) -> tuple[Mapping[str, float], Orders]:
    """Train and score as the server does, then let each cold start order the training images."""
    settings = project.recipe.proxy
    assert settings is not None
    ProxyTraining(project, settings).run({}, pool)
    ProxyScoring(project, settings).run(pool)
    model = current_proxy(project)
    scores = project.ledger.volume_scores(model.version, rank_kind(settings))
    features = read_features(features_file(project.features_folder, model.version))
    count = len(scores)
    return scores, {
        "proxy_rank": top_k(scores, count),
        "typiclust": clusters_first(features, project.recipe.query.start, seed),
        "coreset": coreset(features, count),
        "random": shuffled(scores, seed),
    }


def clusters_first(features: Features, size: int, seed: int) -> list[str]:
    """The order of `typiclust`, round by round, until all volumes are asked for."""
    remaining, order = dict(features), []
    while remaining:
        chosen = typiclust(remaining, size, seed)
        order += chosen
        for image_id in chosen:
            del remaining[image_id]
    return order


def report(pool: Pool, runs: Sequence[tuple[Mapping[str, float], Orders]], first: int) -> None:
    """Print the agreement of the seeds, and for phantoms how early tumours come."""
    pairs = list(itertools.combinations(runs, 2))
    alike = [
        float(spearmanr([a[image_id] for image_id in a], [b[image_id] for image_id in a]).statistic)
        for (a, _), (b, _) in pairs
    ]
    size = len(runs[0][0])
    print(f"\n{pool.name}: {size} volumes, {len(runs)} seeds; proxy scores of two seeds: Spearman {spread(alike)}")
    tumours = pool.with_tumour() if pool.name == "phantoms" else set()
    head = " with tumour | before one without |" if tumours else ""
    print(f"| cold start | the first {first} in common between seeds |{head}")
    print("|---|---:|" + ("---:|---:|" if tumours else ""))
    for name in runs[0][1]:
        orders = [orders[name] for _, orders in runs]
        common = [len(set(a[:first]) & set(b[:first])) / first for a, b in itertools.combinations(orders, 2)]
        row = f"| {name} | {spread(common)} |"
        if tumours:
            share = spread([len(tumours & set(order[:first])) / first for order in orders])
            row += f" {share} | {spread([earlier(order, tumours) for order in orders])} |"
        print(row)
    if tumours:
        print(f"of all, {len(tumours & set(runs[0][0]))} of {size} have a tumour")


def earlier(order: Sequence[str], wanted: set[str]) -> float:
    """The share of pairs in which one of `wanted` comes before one of the others."""
    places: dict[bool, list[int]] = {True: [], False: []}
    for place, image_id in enumerate(order):
        places[image_id in wanted].append(place)
    return statistics.fmean(a < b for a, b in itertools.product(places[True], places[False]))


def spread(values: Sequence[float]) -> str:
    """Mean, smallest and largest."""
    return f"{statistics.fmean(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def draw(runs: Sequence[tuple[Mapping[str, float], Orders]], tumours: set[str], first: int) -> None:
    """Draw each order as a row of squares, the first volume at the left, those with a tumour filled."""
    figure = Figure(figsize=(9, 4.2), layout="constrained", facecolor="white")
    axes = figure.subplots()
    rows = [(name, seed, run[1][name]) for name in runs[0][1] for seed, run in enumerate(runs)]
    for row, (_, _, order) in enumerate(rows):
        colours = ["#d55e00" if image_id in tumours else "#dddddd" for image_id in order]
        axes.scatter(range(1, len(order) + 1), [-row] * len(order), c=colours, marker="s", s=95)
    axes.axvline(first + 0.5, color="black", linewidth=1, linestyle="--")
    axes.set_yticks([-row for row in range(len(rows))], [f"{name}, seed {seed}" for name, seed, _ in rows])
    axes.set_xlabel(f"place at which a phantom is asked for, the first {first} left of the line; orange: with tumour")
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.savefig(PICTURE, dpi=90)


if __name__ == "__main__":
    main()
