"""Rounds that continue the model before, against trainings from scratch: Dice and processor seconds of each round.

    python -m benchmarks.training.continual [--seeds 0 1 2 3] [--rounds 5] [--labels 5] [--judged 15]
    ... --out continual.json

Hippocampus with the recipe `quick` in float32, without validation. Each round has five labels more; the first is from
scratch in all arms. A training that continues has a tenth of the steps of one from scratch; in two arms, which are
replay at a low rate too, a fifth and a third. Every model is judged on the same other volumes. What is measured is
written at once, and a second call goes on where the first one stopped.

The rounds of a seed are no repeats of each other, so its mean over the rounds after the first counts once: a paired t
test over seeds. The margin is how far the Dice of a model from scratch is spread by its seed alone, one standard
deviation; a mean difference whose whole interval lies within it is none that matters.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from activelabel.networks import build_network
from activelabel.prediction.predictor import Predictor
from activelabel.recipes import TrainingSettings
from activelabel.training.checkpoints import ModelDescription
from activelabel.training.engine.loop import TrainingLoop
from activelabel.training.engine.plan import Plan, Weights
from activelabel.training.engine.replay import continued
from activelabel.training.evaluation import evaluate_cases, mean_class_dice, mean_dice
from activelabel.training.transforms import Case
from benchmarks.machine import cpu_name
from benchmarks.training.beside_host import hippocampus, recipe_of
from benchmarks.training.compared import SCRATCH, compared

LABELS = ("anterior", "posterior")
SHARE = 0.1
ARMS: Mapping[str, dict[str, Any]] = {
    SCRATCH: {},
    "continued": {"continued_share": SHARE},
    "replay": {"continued_share": SHARE, "replay_share": 0.5},
    "replay, low rate": {"continued_share": SHARE, "replay_share": 0.5, "continued_learning_rate": 1.5e-3},
    "a fifth": {"continued_share": 0.2, "replay_share": 0.5, "continued_learning_rate": 1.5e-3},
    "a third": {"continued_share": 0.33, "replay_share": 0.5, "continued_learning_rate": 1.5e-3},
    "replay, shrunk": {"continued_share": SHARE, "replay_share": 0.5, "shrink": 0.8},
}


def main() -> None:
    """Read the command line, measure what is not measured yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--labels", type=int, default=5, help="new labels of a round")
    parser.add_argument("--judged", type=int, default=15, help="volumes that judge each model")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--epochs", type=int, help="of a training from scratch, instead of the recipe's 40")
    parser.add_argument("--out", type=Path, default=Path("continual.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{cpu_name()}, one thread, torch {torch.__version__}, load {os.getloadavg()[0]:.1f} at start", flush=True)
    count = arguments.rounds * arguments.labels
    files: list[Case] = [{"image": str(a), "label": str(b)} for a, b in hippocampus(count + arguments.judged).values()]
    measured = Measured(arguments.out)
    for seed in arguments.seeds:
        for arm in arguments.arms:
            run_arm(arm, seed, files[:count], files[count:], arguments, measured)
    print_table(measured.rows, arguments.arms, arguments.rounds)
    for arm in arguments.arms:
        if arm != SCRATCH:
            print(f"- {arm}: {compared(measured.rows, arm, arguments.rounds)}")


class Measured:
    """The rows so far, and the weights that the next round continues, in a file and a folder beside it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._folder = file.with_suffix(".weights")
        self._folder.mkdir(parents=True, exist_ok=True)
        self.rows: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []

    def has(self, arm: str, seed: int, number: int) -> bool:
        """Whether a round is measured."""
        return any((row["arm"], row["seed"], row["round"]) == (arm, seed, number) for row in self.rows)

    def weights(self, arm: str, seed: int, number: int) -> Weights:
        """The weights after a round; after the first, all arms have those from scratch."""
        loaded: Weights = torch.load(self._weights_file(arm, seed, number), weights_only=True)
        return loaded

    def add(self, row: dict[str, Any], weights: Weights) -> None:
        """Write the result of a round."""
        torch.save(dict(weights), self._weights_file(row["arm"], row["seed"], row["round"]))
        self.rows.append(row)
        self._file.write_text(json.dumps(self.rows, indent=1), encoding="utf-8")

    def _weights_file(self, arm: str, seed: int, number: int) -> Path:
        arm = SCRATCH if number == 1 else arm
        return self._folder / f"{arm.replace(' ', '_').replace(',', '')}_{seed}_{number}.pt"


def run_arm(
    arm: str,
    seed: int,
    files: Sequence[Case],
    judged: Sequence[Case],
    arguments: argparse.Namespace,
    measured: Measured,
) -> None:
    """All rounds of an arm with a seed."""
    for number in range(1, arguments.rounds + 1):
        if measured.has(arm, seed, number) or (number == 1 and arm != SCRATCH):
            continue
        cases = files[: number * arguments.labels]
        with tempfile.TemporaryDirectory() as folder:
            plan = plan_of(cases, seed, Path(folder), arguments.epochs)
            if arm != SCRATCH:
                settings = TrainingSettings.model_validate({**plan.training.model_dump(), **ARMS[arm]})
                before = {**vars(plan), "training": settings, "weights": measured.weights(arm, seed, number - 1)}
                plan = continued(Plan(**before), range(len(cases) - arguments.labels, len(cases)))
            begun = time.process_time()
            outcome = TrainingLoop(plan, lambda stats: None).run()
            seconds = time.process_time() - begun
        row = {
            "arm": arm,
            "seed": seed,
            "round": number,
            "cpu_s": seconds,
            "dice": dice_of(plan, outcome.weights, judged),
        }
        measured.add(row, outcome.weights)
        print(json.dumps(row), flush=True)


def plan_of(cases: Sequence[Case], seed: int, folder: Path, epochs: int | None) -> Plan:
    """A training of `quick` from scratch, in float32, in one thread."""
    recipe = recipe_of("hippocampus", epochs)
    model = ModelDescription(
        recipe=recipe.name, labels=LABELS, network=recipe.network, preprocessing=recipe.preprocessing
    )
    settings, windows = recipe.training, recipe.prediction
    return Plan(model, settings, windows, cases, [], seed, "cpu", "float32", folder, ahead=False)


def dice_of(plan: Plan, weights: Weights, judged: Sequence[Case]) -> float:
    """The mean Dice over both structures and all cases."""
    network = build_network(plan.model.network, plan.model.classes)
    network.load_state_dict(weights)
    windows = plan.prediction
    predictor = Predictor(network, windows.window_size, windows.window_overlap, precision="float32")
    found = evaluate_cases(predictor.probabilities, judged, LABELS, plan.model.preprocessing)
    mean = mean_dice(mean_class_dice(found, LABELS))
    assert mean is not None
    return mean


def print_table(rows: Sequence[Mapping[str, Any]], arms: Sequence[str], rounds: int) -> None:
    """Print the mean Dice of each round with its range over seeds, and the processor seconds of one round."""
    head = " | ".join(f"round {number}" for number in range(1, rounds + 1))
    print(f"\n| arm | {head} | CPU s of a round |\n|---|{'---:|' * rounds}---:|")
    for arm in arms:
        cells = []
        for number in range(1, rounds + 1):
            of = SCRATCH if number == 1 else arm
            dice = [row["dice"] for row in rows if (row["arm"], row["round"]) == (of, number)]
            cells.append(f"{statistics.fmean(dice):.3f} ({min(dice):.3f}-{max(dice):.3f})" if dice else "")
        seconds = [row["cpu_s"] for row in rows if row["arm"] == arm and (row["round"] > 1 or arm == SCRATCH)]
        print(f"| {arm} | {' | '.join(cells)} | {statistics.fmean(seconds) if seconds else 0:.1f} |")


if __name__ == "__main__":
    main()
