"""A recipe that `activelabel recipe` plans for a data set, beside `quick`: the same cases, and the processor's seconds.

    OMP_NUM_THREADS=1 python -m benchmarks.training.planned [--images hippocampus acdc] [--seeds 3] [--epochs 40]

Ten annotated cases, others to judge by. The plan sees the images that are trained on, and for the intensities their
labels. Both trainings run as on the server, without validation, and the last weights are judged in float32. The
planned recipe is written as a file and read again.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import torch

from activelabel.data.fingerprint import take_fingerprint
from activelabel.prediction.predictor import Predictor
from activelabel.recipes import Recipe, load_recipe
from activelabel.recipes.fingerprint import Machine
from activelabel.recipes.planning import plan
from activelabel.recipes.writing import as_toml
from activelabel.training.evaluation import evaluate_cases, mean_class_dice
from activelabel.training.transforms import Case
from benchmarks.machine import DATA, cpu_name
from benchmarks.training.arms import Files, train_ours
from benchmarks.training.beside_host import annotated_project

LABELS = {"hippocampus": "anterior,posterior", "acdc": "right ventricle,myocardium,left ventricle"}
CASES = 10
JUDGED_BY = {"hippocampus": 40, "acdc": 10}
MACHINE = Machine(8 * 2**30, has_gpu=False)

Pairs = Mapping[str, tuple[Path, Path]]


def main() -> None:
    """Read the command line, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", nargs="+", choices=LABELS, default=list(LABELS))
    parser.add_argument("--recipes", nargs="+", choices=("quick", "planned"), default=["quick", "planned"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=40, help="of both; their steps fall with them")
    parser.add_argument("--show", action="store_true", help="print the planned recipes, and train nothing")
    arguments = parser.parse_args()
    print(f"{cpu_name()}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f} at start")
    print(f"{arguments.epochs} epochs")
    print("| images | recipe | seed | training, processor s | mean Dice | by structure |")
    print("|---|---|---:|---:|---:|---|", flush=True)
    for images in arguments.images:
        trained, judged = cases_of(images)
        text = planned_text(trained)
        if arguments.show:
            print(text)
            continue
        for seed in range(arguments.seeds):
            for name in arguments.recipes:
                recipe = load_recipe("quick") if name == "quick" else read(text)
                training = recipe.training.model_copy(update={"validation_cases": 0, "epochs": arguments.epochs})
                # A project finds this name.
                recipe = recipe.model_copy(update={"name": "quick", "training": training})
                print_row(images, name, seed, recipe, trained, judged)


def cases_of(images: str) -> tuple[Pairs, Pairs]:
    """Cases to learn from and others to judge by. Of ACDC, every third patient, as its groups are in order."""
    files = sorted((DATA / images / "images").glob("*.nii.gz"))[:: 3 if images == "acdc" else 1]
    pairs = {file.name.removesuffix(".nii.gz"): (file, DATA / images / "labels" / file.name) for file in files}
    names = list(pairs)[: CASES + JUDGED_BY[images]]
    chosen = names[::2] if images == "acdc" else names[:CASES]
    return {name: pairs[name] for name in chosen}, {name: pairs[name] for name in names if name not in chosen}


def planned_text(cases: Pairs) -> str:
    """The planned recipe for these cases as its file."""
    data, _ = take_fingerprint(
        {name: image for name, (image, _) in cases.items()}, {name: label for name, (_, label) in cases.items()}
    )
    return as_toml("planned", plan(data, MACHINE), data, MACHINE)


def read(text: str) -> Recipe:
    """A recipe from the text of its file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "planned.toml"
        file.write_text(text)
        return load_recipe(str(file))


def print_row(images: str, name: str, seed: int, recipe: Recipe, trained: Pairs, judged: Pairs) -> None:
    """Train and judge with one seed, and print the result."""
    with tempfile.TemporaryDirectory() as work:
        project = annotated_project(Path(work), recipe, LABELS[images], seed, trained)
        started = time.process_time()
        _, network = train_ours(project, Files({case: image for case, (image, _) in trained.items()}))
        seconds = time.process_time() - started
        prediction = recipe.prediction
        predictor = Predictor(
            network,
            prediction.window_size,
            prediction.window_overlap,
            precision="float32",
            margin=prediction.window_margin,
        )
        files: list[Case] = [{"image": str(image), "label": str(label)} for image, label in judged.values()]
        found = evaluate_cases(predictor.probabilities, files, project.labels, project.preprocessing)
    dice = {label: value for label, value in mean_class_dice(found, project.labels).items() if value is not None}
    named = ", ".join(f"{label} {value:.3f}" for label, value in dice.items())
    print(
        f"| {images} | {name} | {seed} | {seconds:.0f} | {statistics.fmean(dice.values()):.3f} | {named} |", flush=True
    )


if __name__ == "__main__":
    main()
