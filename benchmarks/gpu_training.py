"""A training of `quick` on the sample data, on a device and on the processor, for `gpu.py`."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from gpu_timing import Conditions, synchronise

from activelabel.networks import build_network
from activelabel.prediction.predictor import Predictor
from activelabel.recipes import load_recipe
from activelabel.training.checkpoints import ModelDescription
from activelabel.training.engine.loop import TrainingLoop
from activelabel.training.engine.plan import Plan
from activelabel.training.evaluation import evaluate_cases, mean_class_dice
from activelabel.training.transforms import Case

SAMPLE_DATA = Path(__file__).resolve().parents[1] / "sample-data"
LEARNT, JUDGED = 10, 8
SELDOM = "tumour"  # in a few cases only, and never found


def training(conditions: Conditions) -> Iterator[dict[str, Any]]:
    """Ten cases learnt from, eight others judged by: seconds, and Dice without the tumour."""
    learnt, judged, epochs = (2, 1, 1) if conditions.small else (LEARNT, JUDGED, None)
    with tempfile.TemporaryDirectory() as folder:
        labels, cases = phantoms(Path(folder), learnt + judged)
        for device in dict.fromkeys((str(conditions.device), "cpu")):
            if not conditions.reaches(f"training on {device}"):
                continue
            run = Path(folder) / device.replace(":", "-")
            run.mkdir()
            yield {"device": device, **train(device, labels, cases[:learnt], cases[learnt:], epochs, run)}


def train(
    device: str, labels: tuple[str, ...], cases: list[Case], judged: list[Case], epochs: int | None, folder: Path
) -> dict[str, Any]:
    """Train once, and judge the last weights in float32."""
    recipe = load_recipe("quick")
    settings = recipe.training if epochs is None else recipe.training.model_copy(update={"epochs": epochs})
    model = ModelDescription(
        recipe=recipe.name, labels=labels, network=recipe.network, preprocessing=recipe.preprocessing
    )
    windows = recipe.prediction
    plan = Plan(model, settings, windows, cases, [], seed=0, device=device, precision="auto", folder=folder)
    begun = time.perf_counter()
    outcome = TrainingLoop(plan, lambda stats: None).run()
    synchronise(torch.device(device))
    seconds = time.perf_counter() - begun
    network = build_network(recipe.network, model.classes)
    network.load_state_dict(outcome.weights)
    predictor = Predictor(network, windows.window_size, windows.window_overlap, device, precision="float32")
    found = evaluate_cases(predictor.probabilities, judged, labels, recipe.preprocessing)
    dice = [value for name, value in mean_class_dice(found, labels).items() if name != SELDOM and value is not None]
    return {"cases": len(cases), "epochs": settings.epochs, "s": seconds, "mean Dice": statistics.fmean(dice)}


def phantoms(folder: Path, count: int) -> tuple[tuple[str, ...], list[Case]]:
    """Make the sample data, and return the names of its structures and its cases."""
    script = [sys.executable, str(SAMPLE_DATA / "make_abdomen.py"), "--cases", str(count), "--out", str(folder)]
    subprocess.run(script, check=True, capture_output=True)
    by_value: dict[str, str] = json.loads((folder / "abdomen" / "dataset.json").read_text(encoding="utf-8"))["labels"]
    names = tuple(by_value[value] for value in sorted(by_value, key=int) if value != "0")
    images = sorted((folder / "abdomen").glob("*.nii.gz"))
    return names, [{"image": str(image), "label": str(folder / "abdomen-labels" / image.name)} for image in images]
