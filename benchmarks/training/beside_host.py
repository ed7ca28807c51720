"""Speed and result of training against the host's own: same cases, network, patches and number of steps.

    python -m benchmarks.training.beside_host [--sizes hippocampus 96] [--precisions auto float32] [--seeds 3]
    ... --epochs N
    ... --sizes brats96 --precisions float32 bfloat16 --seeds 2 --out brats96.json

Each arm runs in a process of its own: the host in float32, and ours in each precision, of which `auto` is bfloat16
where the processor multiplies it. Hippocampus: the recipe `quick` on 10 volumes, after which all networks are judged on
15 others, in float32, one of each arm for each seed; they begin with the same weights. 96x96x96: the network of
`rahimi2022` on noise, one patch a step, for the time alone. `brats96` is the same on whole heads of real FLAIR images
at 2 mm, whose tumours are learnt from two patients and judged on two others: a patient is five cases, so that an epoch
has ten steps. Nothing is validated meanwhile, on any side. With `--out`, a second call goes on where the first stopped.

If other work runs on the machine, set OMP_WAIT_POLICY=passive: otherwise waiting threads use up processor time that the
working threads need, and single steps take ten times as long.
"""

import argparse
import dataclasses
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import nibabel
import numpy as np
import torch
from torch import nn

from activelabel.prediction.devices.precision import PrecisionName, choose_precision
from activelabel.prediction.predictor import Predictor
from activelabel.project.opening import open_project
from activelabel.project.project import Project
from activelabel.recipes import Recipe, load_recipe
from activelabel.store.cases.new_annotation import NewAnnotation
from activelabel.training.evaluation import evaluate_cases, mean_class_dice, mean_dice
from activelabel.training.transforms import Case
from benchmarks.asking.selective_pools import brats_cases, volume_example
from benchmarks.machine import DATA, cpu_name
from benchmarks.scoring.arms import CPU, SEED
from benchmarks.training.arms import Files, train_host, train_ours
from benchmarks.training.kept import KeptRows, Row

TRAINED_ON, JUDGED_BY = 10, 15
NOISE_CASES = 4
BRATS_PATIENTS, BRATS_COPIES = 2, 5  # the patients that are learnt from, and the cases that each of them is
LABELS = {"hippocampus": "anterior,posterior", "96": "ball", "brats96": "tumour"}
EPOCHS = {"96": 3, "brats96": 12}
HOST = "host"


@dataclasses.dataclass(frozen=True)
class Result:
    """The time of one arm for a step, and the mean Dice of its network, if it is judged."""

    step_seconds: float
    step_cpu_seconds: float
    dice: float | None


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", choices=LABELS, default=["hippocampus", "96"])
    parser.add_argument(
        "--precisions", nargs="+", choices=get_args(PrecisionName), default=["auto", "float32"], help="of ours"
    )
    parser.add_argument("--seeds", type=int, default=3, help="how many trainings of each arm, but at 96")
    parser.add_argument("--epochs", type=int, help="instead of the recipe's 40, of 3 at 96, and of 12 at brats96")
    parser.add_argument("--out", type=Path, help="a file that keeps what is measured")
    parser.add_argument("--run-arm", metavar="ARM", help="run one arm in this process (internal)")
    parser.add_argument("--seed", type=int, help="with --run-arm")
    arguments = parser.parse_args()
    if arguments.epochs is not None and arguments.epochs < 2:
        parser.error("--epochs: the first one is not timed, so expected 2 or more")
    if arguments.run_arm:
        with tempfile.TemporaryDirectory() as work:
            result = run_arm(arguments.run_arm, arguments.sizes[0], arguments.seed, arguments.epochs, Path(work))
        print(json.dumps(dataclasses.asdict(result)))
        return
    # Each once: where nothing multiplies bfloat16, `auto` is float32.
    precisions = dict.fromkeys(str(choose_precision(name, CPU).dtype) for name in arguments.precisions)
    arms = [HOST, *(name.removeprefix("torch.") for name in precisions)]
    report(arguments.sizes, arms, arguments.seeds, arguments.epochs, KeptRows(arguments.out))


def report(sizes: Sequence[str], arms: Sequence[str], seeds: int, epochs: int | None, kept: KeptRows) -> None:
    """Print the conditions, and a table for each size."""
    print(f"{cpu_name()}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f} at start")
    print(f"torch {torch.__version__}, host in float32, ours in {', '.join(arms[1:])}")
    print(f"auto: {choose_precision('auto', CPU)}")
    print(f"OMP_WAIT_POLICY {os.environ.get('OMP_WAIT_POLICY', 'not set')}")
    for size in sizes:
        recipe = recipe_of(size, epochs)
        patch = "x".join(map(str, recipe.training.patch_size))
        patches = f"{recipe.training.patches_per_volume} patches of {patch} a step"
        print(f"\n{size}: network of {recipe.name}, {recipe.training.epochs} epochs, {patches}")
        print("| arm | seed | s/step | steps/s | CPU s/step | mean Dice |")
        print("|---|---:|---:|---:|---:|---:|", flush=True)
        count = 1 if size == "96" else seeds
        rounds = [{arm: row_of(arm, size, seed, recipe, kept) for arm in arms} for seed in range(count)]
        print_comparison({arm: [found[arm] for found in rounds] for arm in arms})


def print_comparison(found: Mapping[str, Sequence[Result]]) -> None:
    """Print the ratios of the times, and the Dice of all arms with its spread between seeds."""
    # The fastest run of each arm: other work on the machine only makes it slower.
    seconds = {arm: min(result.step_seconds for result in results) for arm, results in found.items()}
    cpu_seconds = {arm: min(result.step_cpu_seconds for result in results) for arm, results in found.items()}
    for arm in [arm for arm in found if arm != HOST]:
        by_clock, by_cpu = (times[HOST] / times[arm] for times in (seconds, cpu_seconds))
        print(
            f"fastest in {arm}: {by_clock:.2f} times the host's steps per second, {by_cpu:.2f} times by the processors'"
        )
    for arm, results in found.items():
        dice = [result.dice for result in results if result.dice is not None]
        if dice:
            print(f"Dice of {arm}: mean {statistics.fmean(dice):.3f}, {min(dice):.3f} to {max(dice):.3f} between seeds")


def row_of(arm: str, size: str, seed: int, recipe: Recipe, kept: KeptRows) -> Result:
    """Measure one arm, unless that is done, and print its row."""
    epochs = recipe.training.epochs
    key: Row = {"size": size, "arm": arm, "seed": seed, "epochs": epochs}
    row = kept.find(key)
    if row is None:
        row = key | dataclasses.asdict(measure(arm, size, seed, epochs))
        kept.add(row)
    result = Result(**{field.name: row[field.name] for field in dataclasses.fields(Result)})
    seconds, dice = result.step_seconds, "" if result.dice is None else f"{result.dice:.3f}"
    print(
        f"| {arm} | {seed} | {seconds:.3f} | {1 / seconds:.2f} | {result.step_cpu_seconds:.3f} | {dice} |", flush=True
    )
    return result


def measure(arm: str, size: str, seed: int, epochs: int) -> Result:
    """Run one arm in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.training.beside_host", "--run-arm", arm, "--sizes", size]
    command += ["--seed", str(seed), "--epochs", str(epochs)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    if done.returncode:
        sys.exit(f"{arm} failed: {done.stderr}")
    return Result(**json.loads(done.stdout.splitlines()[-1]))


def run_arm(arm: str, size: str, seed: int, epochs: int | None, work: Path) -> Result:
    """Train one arm in this process, the host's or ours in a precision, and judge its network."""
    cases = cases_of(size, work / "cases")
    training = dict(list(cases.items())[:TRAINED_ON])
    precision = "auto" if arm == HOST else arm
    project = annotated_project(work, recipe_of(size, epochs), LABELS[size], seed, training, precision)
    train = train_host if arm == HOST else train_ours
    timing, network = train(project, Files({image_id: image for image_id, (image, _) in training.items()}))
    dice = judge(project, network, list(cases.values())[TRAINED_ON:])
    return Result(timing.step_seconds, timing.step_cpu_seconds, dice)


def recipe_of(size: str, epochs: int | None) -> Recipe:
    """`quick`, or `rahimi2022` with one patch a step; without validation."""
    recipe = load_recipe("quick" if size == "hippocampus" else "rahimi2022")
    changed: dict[str, Any] = {"validation_cases": 0}
    if size != "hippocampus":
        changed |= {"epochs": EPOCHS[size], "batch_size": 1, "patches_per_volume": 1}
    if epochs is not None:
        changed["epochs"] = epochs
    preprocessing = recipe.preprocessing.model_copy(update={"spacing_mm": None})
    training = recipe.training.model_copy(update=changed)
    return recipe.model_copy(update={"training": training, "preprocessing": preprocessing})


def annotated_project(
    work: Path,
    recipe: Recipe,
    labels: str,
    seed: int,
    cases: Mapping[str, tuple[Path, Path]],
    precision: str = "auto",
) -> Project:
    """A project whose ledger knows a label for each case."""
    work.mkdir(exist_ok=True)
    settings = {"recipe": recipe.name, "labels": labels, "seed": str(seed), "device": "cpu", "precision": precision}
    opened = open_project("app", str(work), settings)
    project = dataclasses.replace(opened, recipe=recipe)
    project.ledger.sync_images(cases, 0)
    project.labels_folder.mkdir()
    for image_id, (_, label) in cases.items():
        (project.labels_folder / label.name).symlink_to(label)
        sha256 = hashlib.sha256(label.read_bytes()).hexdigest()
        project.ledger.keep_label(NewAnnotation(image_id, label.name, sha256, "benchmark"))
    return project


def judge(project: Project, network: nn.Module, cases: Sequence[tuple[Path, Path]]) -> float | None:
    """Mean Dice over labels and cases, on the images' own grids; None without cases."""
    if not cases:
        return None
    prediction = project.recipe.prediction
    predictor = Predictor(network, prediction.window_size, prediction.window_overlap, precision="float32")
    files: list[Case] = [{"image": str(image), "label": str(label)} for image, label in cases]
    dice = evaluate_cases(predictor.probabilities, files, project.labels, project.preprocessing)
    return mean_dice(mean_class_dice(dice, project.labels))


def cases_of(size: str, folder: Path) -> Mapping[str, tuple[Path, Path]]:
    """Image and label of the cases of a size, `TRAINED_ON` to learn from before those to judge by; noise has none."""
    if size == "hippocampus":
        return hippocampus(TRAINED_ON + JUDGED_BY)
    return noise(folder) if size == "96" else heads(folder)


def hippocampus(count: int) -> dict[str, tuple[Path, Path]]:
    """The first `count` real volumes with their labels."""
    images = sorted((DATA / "hippocampus" / "images").glob("*.nii.gz"))[:count]
    if len(images) < count:
        sys.exit(f"no hippocampus images in {DATA}: name the folder of the real images in ACTIVELABEL_DATA")
    return {
        image.name.removesuffix(".nii.gz"): (image, DATA / "hippocampus" / "labels" / image.name) for image in images
    }


def heads(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Write each whole head of BraTS at 2 mm into 96x96x96; those to learn from are first, under several names each.

    Around a head is air, so that no patch is padded: the host would learn the reflected image as background.
    """
    folder.mkdir()
    patients = brats_cases(spacing_mm=(2.0, 2.0, 2.0))
    if not patients:
        sys.exit(f"no brats2015 in {DATA}: name the folder of the real images in ACTIVELABEL_DATA")
    cases = {}
    for number, patient in enumerate(patients):
        image, label = (tensor[0].numpy() for tensor in volume_example(patient, (96, 96, 96)))
        for copy in range(BRATS_COPIES if number < BRATS_PATIENTS else 1):
            name = f"{patient.name}_{copy}"
            files = folder / f"{name}.nii.gz", folder / f"{name}_label.nii.gz"
            for file, array in zip(files, (image, label.astype(np.uint8)), strict=True):
                nibabel.save(nibabel.Nifti1Image(array, np.diag([2.0, 2.0, 2.0, 1.0])), file)
            cases[name] = files
    return cases


def noise(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Write volumes of noise with a ball as their label."""
    folder.mkdir()
    rng = np.random.default_rng(SEED)
    x, y, z = np.ogrid[:96, :96, :96]
    ball = (x - 48) ** 2 + (y - 48) ** 2 + (z - 48) ** 2 < 30**2
    cases = {}
    for number in range(NOISE_CASES):
        image, label = folder / f"noise_{number}.nii.gz", folder / f"ball_{number}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(rng.normal(0, 300, ball.shape).astype(np.int16), np.eye(4)), image)
        nibabel.save(nibabel.Nifti1Image(ball.astype(np.uint8), np.eye(4)), label)
        cases[f"noise_{number}"] = (image, label)
    return cases


if __name__ == "__main__":
    main()
