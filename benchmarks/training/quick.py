"""The quality of `quick` after few annotated cases, over several seeds of training.

    python -m benchmarks.training.quick [--images sample hippocampus] [--cases 4 10] [--seeds 4]
    ... --padding reflection zeros

It trains as the server does, without validation, and judges the last weights, in float32, on volumes outside of the
training: 8 of the sample data (which is made if missing), 10 of hippocampus. The mean over the sample data leaves out
the tumour, which is in a few cases only. `--padding zeros` pads images smaller than a patch or a window with zeros
instead of a reflection, in training and in prediction.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional

from activelabel.data.reflection import before
from activelabel.prediction import windows
from activelabel.prediction.predictor import Predictor
from activelabel.recipes import load_recipe
from activelabel.training import patches
from activelabel.training.evaluation import evaluate_cases, mean_class_dice
from activelabel.training.transforms import Case
from benchmarks.machine import cpu_name
from benchmarks.training.arms import Files, train_ours
from benchmarks.training.beside_host import annotated_project, hippocampus

SAMPLE_DATA = Path(__file__).resolve().parents[2] / "sample-data"
LABELS = {"sample": "liver,spleen,kidneys,tumour", "hippocampus": "anterior,posterior"}
JUDGED_BY = {"sample": 8, "hippocampus": 10}
SELDOM = "tumour"


def main() -> None:
    """Read the command line, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", nargs="+", choices=LABELS, default=list(LABELS))
    parser.add_argument("--cases", nargs="+", type=int, default=[4, 10], help="how many are annotated")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--padding", choices=("reflection", "zeros"), default="reflection")
    arguments = parser.parse_args()
    if arguments.padding == "zeros":
        for module in (patches, windows):
            setattr(module, "reflect_to", zeros_to)  # noqa: B010  # there is no such setting: nobody should want it
    print(f"padding by {arguments.padding}, torch {torch.__version__}")
    print(f"{cpu_name()}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f} at start")
    print("| images | cases | seed | processor, s | mean Dice | by structure |")
    print("|---|---:|---:|---:|---:|---|", flush=True)
    for images in arguments.images:
        for cases in arguments.cases:
            found = [print_row(images, cases, seed) for seed in range(arguments.seeds)]
            print(f"{images}, {cases}: mean {statistics.fmean(found):.3f}, {min(found):.3f} to {max(found):.3f}")


def print_row(images: str, cases: int, seed: int) -> float:
    """Train with one seed, print the result, and return the mean Dice."""
    started = time.process_time()
    with tempfile.TemporaryDirectory() as work:
        dice = dice_after_training(images, cases, seed, Path(work))
    mean = statistics.fmean(value for name, value in dice.items() if name != SELDOM)
    named = ", ".join(f"{name} {value:.3f}" for name, value in dice.items())
    seconds = time.process_time() - started
    print(f"| {images} | {cases} | {seed} | {seconds:.0f} | {mean:.3f} | {named} |", flush=True)
    return mean


def dice_after_training(images: str, cases: int, seed: int, work: Path) -> dict[str, float]:
    """The mean Dice of each structure in the volumes outside of the training."""
    count = cases + JUDGED_BY[images]
    files = hippocampus(count) if images == "hippocampus" else sample_data(count)
    trained = dict(list(files.items())[:cases])
    recipe = load_recipe("quick")
    recipe = recipe.model_copy(update={"training": recipe.training.model_copy(update={"validation_cases": 0})})
    project = annotated_project(work, recipe, LABELS[images], seed, trained)
    _, network = train_ours(project, Files({name: image for name, (image, _) in trained.items()}))
    prediction = project.recipe.prediction
    predictor = Predictor(network, prediction.window_size, prediction.window_overlap, precision="float32")
    judged: list[Case] = [{"image": str(image), "label": str(label)} for image, label in list(files.values())[cases:]]
    found = evaluate_cases(predictor.probabilities, judged, project.labels, project.preprocessing)
    return {name: dice for name, dice in mean_class_dice(found, project.labels).items() if dice is not None}


def zeros_to(values: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Pad as `reflect_to`, but with zeros."""
    padding = list[int]()
    for length, wanted in zip(values.shape[-len(size) :], size, strict=True):
        ahead = before(length, wanted)
        padding = [ahead, max(wanted - length, 0) - ahead, *padding]  # torch counts axes from the last one
    return torch.nn.functional.pad(values, padding)


def sample_data(count: int) -> dict[str, tuple[Path, Path]]:
    """The first `count` volumes of the sample data with their labels."""
    subprocess.run([sys.executable, SAMPLE_DATA / "make_abdomen.py"], check=True, capture_output=True)
    images = sorted((SAMPLE_DATA / "abdomen").glob("*.nii.gz"))[:count]
    return {
        image.name.removesuffix(".nii.gz"): (image, SAMPLE_DATA / "abdomen-labels" / image.name) for image in images
    }


if __name__ == "__main__":
    main()
