"""A training of `quick` on the sample data, on a device and on the processor, for `run.py`."""

import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from activelabel.networks import build_network
from activelabel.prediction.predictor import Predictor
from activelabel.recipes import load_recipe
from activelabel.training.checkpoints import ModelDescription
from activelabel.training.engine.loop import TrainingLoop
from activelabel.training.engine.plan import Plan, Weights
from activelabel.training.engine.progress import Stats
from activelabel.training.evaluation import evaluate_cases, mean_class_dice
from activelabel.training.transforms import Case
from benchmarks.gpu.timing import Conditions, Row, synchronise

SAMPLE_DATA = Path(__file__).resolve().parents[2] / "sample-data"
LEARNT, JUDGED = 10, 8
BELOW = "below the CPU's Dice"
SELDOM = "tumour"  # in a few cases only, and never found


class TimeIsOver(Exception):
    """There is no time for another epoch."""


def training(conditions: Conditions) -> Iterator[Row]:
    """Ten cases learnt from, eight others judged by: seconds, and Dice without the tumour."""
    if importlib.util.find_spec("SimpleITK") is None:
        conditions.leave_out("training", "SimpleITK is not installed, by which its files are read")
        return
    learnt, judged, epochs = (2, 1, 1) if conditions.small else (LEARNT, JUDGED, None)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        labels, cases = phantoms(Path(folder), learnt + judged)
        for device in dict.fromkeys((str(conditions.device), "cpu")):
            if not conditions.reaches(f"training on {device}"):
                continue
            run = Path(folder) / device.replace(":", "-")
            run.mkdir()
            rows.append(train(conditions, device, labels, cases[:learnt], cases[learnt:], epochs, run))
            yield rows[-1]
    dice = [row["mean Dice"] for row in rows if "mean Dice" in row]
    if len(dice) == 2:
        yield {"case": "the device beside the processor", BELOW: dice[1] - dice[0]}


def train(
    conditions: Conditions,
    device: str,
    labels: tuple[str, ...],
    cases: list[Case],
    judged: list[Case],
    epochs: int | None,
    folder: Path,
) -> Row:
    """Train once, and judge the last weights in float32."""
    recipe = load_recipe("quick")
    settings = recipe.training if epochs is None else recipe.training.model_copy(update={"epochs": epochs})
    model = ModelDescription(
        recipe=recipe.name, labels=labels, network=recipe.network, preprocessing=recipe.preprocessing
    )
    plan = Plan(model, settings, recipe.prediction, cases, [], seed=0, device=device, precision="auto", folder=folder)

    def watch(stats: Stats) -> None:
        if conditions.left < 0 and stats["epoch"] < settings.epochs:
            raise TimeIsOver(stats["epoch"])

    begun = time.perf_counter()
    case: Row = {"device": device, "cases": len(cases), "epochs": settings.epochs}
    try:
        outcome = TrainingLoop(plan, watch).run()
    except TimeIsOver as over:
        conditions.leave_out(f"training on {device}, after epoch {over} of {settings.epochs}", "no time is left")
        return {**case, "epochs": over.args[0], "s": time.perf_counter() - begun}
    synchronise(torch.device(device))
    seconds = time.perf_counter() - begun
    return {**case, "s": seconds, "mean Dice": judge(model, outcome.weights, judged, device)}


def judge(model: ModelDescription, weights: Weights, judged: list[Case], device: str) -> float:
    """The mean Dice of a trained network over cases and structures."""
    windows = load_recipe("quick").prediction
    network = build_network(model.network, model.classes)
    network.load_state_dict(weights)
    predictor = Predictor(network, windows.window_size, windows.window_overlap, device, precision="float32")
    found = evaluate_cases(predictor.probabilities, judged, model.labels, model.preprocessing)
    dice = mean_class_dice(found, model.labels)
    return statistics.fmean(value for name, value in dice.items() if name != SELDOM and value is not None)


def phantoms(folder: Path, count: int) -> tuple[tuple[str, ...], list[Case]]:
    """Make the sample data, and return the names of its structures and its cases."""
    script = [sys.executable, str(SAMPLE_DATA / "make_abdomen.py"), "--cases", str(count), "--out", str(folder)]
    made = subprocess.run(script, capture_output=True, encoding="utf-8")
    if made.returncode:
        raise RuntimeError(f"make_abdomen.py: {made.stderr.strip().rpartition(chr(10))[2]}")
    by_value: dict[str, str] = json.loads((folder / "abdomen" / "dataset.json").read_text(encoding="utf-8"))["labels"]
    names = tuple(by_value[value] for value in sorted(by_value, key=int) if value != "0")
    images = sorted((folder / "abdomen").glob("*.nii.gz"))
    return names, [{"image": str(image), "label": str(folder / "abdomen-labels" / image.name)} for image in images]
