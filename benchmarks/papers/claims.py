"""Shared code of the papers' scripts: real cases, the experiment, and the table of claims that hold or do not hold.

For each claim, two arms are compared at equal effort over seeds, each the mean of its test cases, by Student's paired t
test with Holm's correction over the claims of an experiment. The table also shows the 95 % interval and the number of
seeds in which the mean was higher. *Holds*: better, with p below 0.05. *Does not hold*: worse, with p below 0.05. *Too
few seeds*: fewer than three. Everything else *cannot be told*. Only finished arms are compared.
"""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from activelabel.analysis.comparison import SeedTest, holm, seed_test
from activelabel.cli.simulate import run_with_progress
from activelabel.data.files.image_files import ImageFiles
from activelabel.data.label_checking import write_label
from activelabel.data.splits import choose_validation
from activelabel.data.volumes import read_volume
from activelabel.recipes.strategy_traits import traits_of
from activelabel.report.curves import at_equal_effort, over_cases
from activelabel.simulation.arms import Arm, plan_arms
from activelabel.simulation.cases import Cases
from activelabel.simulation.experiment import Experiment, open_experiment
from activelabel.simulation.results import Results, effort_table, mean_dice, read_results
from benchmarks.machine import DATA

ROOT = Path(__file__).resolve().parents[2]
RECIPES = Path(__file__).parent / "recipes"
Statistic = Literal["aubc", "final", "first"]
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Claim:
    """A claim that one arm is better than another, and the paper's numbers.

    Attributes:
        statement: the claim, in a few words.
        theirs: the paper's number.
        better: the arm that the claim calls better.
        worse: the other arm.
        effort: the effort at which both arms are compared.
        statistic: the area under the learning curve, the Dice at the largest effort both have, or that of the first
            round.
    """

    statement: str
    theirs: str
    better: str
    worse: str
    effort: str
    statistic: Statistic = "aubc"


def hippocampus(first: int, count: int, test: int) -> Cases:
    """`count` hippocampus volumes from the `first` on, `test` of them set aside."""
    folder = DATA / "hippocampus"
    names = sorted(path.name for path in (folder / "images").glob("*.nii.gz"))[first : first + count]
    ids = {name.removesuffix(".nii.gz"): name for name in names}
    return cases(
        {id: folder / "images" / name for id, name in ids.items()},
        {id: folder / "labels" / name for id, name in ids.items()},
        test,
    )


def brats(folder: Path, test: int = 2) -> Cases:
    """The four patients, FLAIR, with the whole tumour as the only label: FLAIR does not tell its parts apart.

    The labels are altered copies in `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    images = {path.name.removesuffix("_flair.nii.gz"): path for path in (DATA / "brats2015").glob("*_flair.nii.gz")}
    labels = {id: folder / f"{id}.nii.gz" for id in images}
    for id, label in labels.items():
        if not label.exists():
            parts = read_volume(images[id].with_name(f"{id}_label.nii.gz"))
            write_label(label, (parts.array > 0).astype(np.uint8), parts.grid.affine_ras)
    return cases(images, labels, test)


def phantoms(test: int) -> Cases:
    """The sample data."""
    folder = ROOT / "sample-data"
    images = {path.name.removesuffix(".nii.gz"): path for path in (folder / "abdomen").glob("*.nii.gz")}
    return cases(images, {id: folder / "abdomen-labels" / path.name for id, path in images.items()}, test)


def cases(images: Mapping[str, Path], labels: Mapping[str, Path], test: int) -> Cases:
    """The cases of these files, with test cases chosen by a hash."""
    if not images:
        raise SystemExit("no images: run `make run` once for the phantoms, or name the real images in ACTIVELABEL_DATA")
    aside = choose_validation(images, test)
    files = {image_id: ImageFiles(path) for image_id, path in images.items()}
    return Cases(files, labels, tuple(sorted(images.keys() - aside)), tuple(sorted(aside)))


def arms(
    strategies: Sequence[str], recipe: str, *, start: int, volumes: int, slices: int = 1, rounds: int
) -> tuple[Arm, ...]:
    """One arm for each strategy; a round has `slices` for strategies that ask for slices, `volumes` for the others."""
    path = str(RECIPES / f"{recipe}.toml") if (RECIPES / f"{recipe}.toml").is_file() else recipe
    return tuple(
        Arm(name, name, path, start, slices if traits_of(name).asks_slices else volumes, rounds) for name in strategies
    )


def paper_arms(strategies: Sequence[str], recipe: str, rounds: int) -> tuple[Arm, ...]:
    """One arm for each strategy, with the start and the rounds that the recipe has from its paper."""
    return plan_arms(recipe, strategies, None, None, None, rounds)


def main(
    document: str,
    experiments: Callable[[bool, int, Path], Mapping[str, Experiment]],
    claims: Mapping[str, Sequence[Claim]],
    efforts: Mapping[str, str],
) -> None:
    """Read the command line, play what is missing, and print the tables.

    Args:
        document: the docstring of the script.
        experiments: a function from whether the paper's size is wanted, the number of seeds, and a folder for altered
            copies of labels and recipes, to the experiments by name.
        claims: the claims of each experiment.
        efforts: for each experiment, the effort by which all arms are shown.
    """
    parser = argparse.ArgumentParser(description=document.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="where runs are kept; stopped ones go on")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", help="one of the experiments")
    parser.add_argument("--full", action="store_true", help="the paper's numbers: for a GPU, and many hours")
    arguments = parser.parse_args()
    planned = experiments(arguments.full, arguments.seeds, arguments.out / "altered")
    if arguments.only not in (None, *planned):
        parser.error(f"--only {arguments.only}: expected one of {', '.join(planned)}")
    for name, experiment in planned.items():
        if arguments.only in (None, name):
            out = arguments.out / name
            open_experiment(experiment, out)
            run_with_progress(experiment, out, arguments.jobs)
            results = read_results([out])
            print(
                f"\n### {name}: {len(experiment.cases.pool)} volumes to ask for, {len(experiment.cases.test)} to test\n"
            )
            print_arms(results, efforts[name])
            if claims.get(name):
                print_claims(results, claims[name])


def print_arms(results: Results, effort: str) -> None:
    """Print for every arm the area under its learning curve at equal effort, and its Dice round by round."""
    dice, efforts = mean_dice(results.metrics), effort_table(results.queries)
    finished = dice[~dice["arm"].isin(results.unfinished)]
    equal = at_equal_effort(efforts, finished, effort)
    rounds = dice.groupby(["arm", "round"])["dice"].mean().unstack()
    spent = efforts.groupby("arm")[effort].max()
    print(f"| arm | area under the curve by {effort} | {effort} in the end | Dice by round |\n|---|---:|---:|---|")
    for arm in results.arms:
        area = "–" if equal is None or arm not in equal.aubc else f"{equal.aubc[arm].mean():.4f}"
        by_round = " ".join(f"{value:.3f}" for value in rounds.loc[arm].dropna())
        print(f"| {arm} | {area} | {spent[arm]:.0f} | {by_round} |")


def print_claims(results: Results, claims: Sequence[Claim]) -> None:
    """Print for each claim the paper's number, ours, and the verdict."""
    finished = set(results.arms) - results.unfinished
    claims = [claim for claim in claims if {claim.better, claim.worse} <= finished]
    seeds = [over_cases(pairs_of(results, claim)) for claim in claims]
    tests = [seed_test(seed["better"], seed["worse"]) for seed in seeds]
    corrected = holm([test.p for test in tests])
    print("\n| claim | paper | ours: difference (95 %; seeds better) | p, Holm | |\n|---|---|---:|---:|---|")
    for claim, test, p in zip(claims, tests, corrected, strict=True):
        lies = f"{test.low:+.4f} to {test.high:+.4f}" if test.told else "no interval"
        ours = f"{test.mean_difference:+.4f} ({lies}; {test.seeds_better} of {test.seeds})"
        what = {"aubc": "area", "final": "Dice in the end", "first": "Dice of the first model"}[claim.statistic]
        row_name = f"{claim.statement}: {claim.better} over {claim.worse}, {what}"
        print(f"| {row_name} | {claim.theirs} | {ours} | {p:.3g} | {verdict(test, p)} |")


def pairs_of(results: Results, claim: Claim) -> pd.DataFrame:
    """The statistic of a claim for each pair of seed and test case, in the columns `better` and `worse`."""
    dice, efforts = mean_dice(results.metrics), effort_table(results.queries)
    both = {claim.better: "better", claim.worse: "worse"}
    dice, efforts = dice[dice["arm"].isin(both)], efforts[efforts["arm"].isin(both)]
    if claim.statistic == "first":
        first = dice[dice["round"] == 0].set_index(["seed", "case", "arm"])["dice"].unstack()
        return first.rename(columns=both).dropna()
    equal = at_equal_effort(efforts, dice, claim.effort)
    if equal is None:
        raise SystemExit(f"{claim.better} and {claim.worse} have no range of {claim.effort} in common")
    return (equal.aubc if claim.statistic == "aubc" else equal.final).rename(columns=both)


def verdict(test: SeedTest, p_holm: float) -> str:
    """The verdict on a claim."""
    if not test.told:
        return test.why_untold
    if p_holm >= SIGNIFICANT:
        return "cannot be told"
    return "holds" if test.first_is_better else "**does not hold**"
