"""Which precision is measured to be the faster on this processor, beside what real predictions and trainings take.

    OMP_NUM_THREADS=1 python -m benchmarks.scoring.cpu_precision [--recipes quick rahimi2022] [--repeats 5] [--turns 3]
    ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16 python -m benchmarks.scoring.cpu_precision

For `quick` at the size of hippocampus and `rahimi2022` at 96x96x96: the choice that a project would keep, then Monte
Carlo repeats of one window and training steps with their optimiser, in float32 and bfloat16 in turn, the least seconds
of the processor for each. `right` says whether the choice is the faster, or float32 and slower by less than a
twentieth. The choice is measured as a project does; other work on the machine makes that last longer.
"""

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from activelabel.networks import build_network
from activelabel.prediction.devices.cpu_precision import CPU, cpu_precision
from activelabel.prediction.devices.freed_memory import keep_freed_memory, more_kept_for_training
from activelabel.prediction.devices.precision import PrecisionName, choose_precision
from activelabel.prediction.devices.processor import processor_name
from activelabel.prediction.predictor import Predictor
from activelabel.recipes import Recipe, load_recipe
from activelabel.training.cpu_layers import with_cpu_layers

CLASSES = 3
PRECISIONS: tuple[PrecisionName, ...] = ("float32", "bfloat16")
RECIPES = ("quick", "rahimi2022")
LEAST_GAIN = 0.05


def main() -> None:
    """Read the command line, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="Monte Carlo repeats of a prediction")
    parser.add_argument("--turns", type=int, default=3, help="of each precision; the least counts")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    arguments = parser.parse_args()
    print(f"{processor_name()}, torch {torch.__version__}, load {os.getloadavg()[0]:.1f} at start")
    print(f"by flags: {choose_precision('auto', CPU)}")
    print("| recipe | work | float32, ms | bfloat16, ms | chosen | right | measured in s |")
    print("|---|---|---:|---:|---|---|---:|", flush=True)
    for name in arguments.recipes:
        recipe = load_recipe(name)
        report_pass(recipe, arguments.repeats, arguments.turns)
        report_step(recipe, arguments.turns)


def report_pass(recipe: Recipe, repeats: int, turns: int) -> None:
    """Print the row of predictions."""
    network, windows = build_network(recipe.network, CLASSES), recipe.prediction
    image = torch.rand(1, *windows.window_size)

    def predictor(precision: PrecisionName, file: Path | None = None) -> Predictor:
        return Predictor(network, windows.window_size, 0.25, precision=precision, choices_file=file)

    predictors = {name: predictor(name) for name in PRECISIONS}
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        chosen = predictor("auto", Path(folder) / "layouts.json").precision.dtype
    measured = time.perf_counter() - begun
    seconds = least_seconds(lambda name: predictors[name].sample(image, repeats, seed=0), turns)
    print_row(recipe.name, f"{repeats} repeats", seconds, chosen, measured)


def report_step(recipe: Recipe, turns: int) -> None:
    """Print the row of training steps, of one patch, or for `quick` of as many as it has."""
    settings = recipe.training
    patches = settings.batch_size * settings.patches_per_volume if recipe.name == "quick" else 1
    network = with_cpu_layers(build_network(recipe.network, CLASSES)).train()
    images = torch.rand(patches, 1, *settings.patch_size)
    optimiser = torch.optim.AdamW(network.parameters(), fused=True)

    def step(precision: PrecisionName) -> None:
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            logits = network(images)
        torch.nn.functional.cross_entropy(logits.float(), torch.zeros(patches, *settings.patch_size).long()).backward()
        optimiser.step()

    keep_freed_memory()
    with more_kept_for_training(), tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        chosen = cpu_precision("step", network, "auto", images.shape, Path(folder) / "layouts.json").dtype
        measured = time.perf_counter() - begun
        seconds = least_seconds(step, turns)
    print_row(recipe.name, "step", seconds, chosen, measured)


def least_seconds(run: Callable[[PrecisionName], object], turns: int) -> dict[PrecisionName, float]:
    """The least processor seconds of a run in each precision, in turn, after one that does not count."""
    least = dict.fromkeys(PRECISIONS, float("inf"))
    for turn, name in itertools.product(range(turns + 1), PRECISIONS):
        begun = time.process_time()
        run(name)
        if turn:
            least[name] = min(least[name], time.process_time() - begun)
    return least


def print_row(
    recipe: str, work: str, seconds: dict[PrecisionName, float], chosen: torch.dtype, measured: float
) -> None:
    """Print a row of the table."""
    gain = 1 - seconds["bfloat16"] / seconds["float32"]
    is_right = gain > 0 if chosen is torch.bfloat16 else gain < LEAST_GAIN
    shown = " | ".join(f"{seconds[name] * 1000:.0f}" for name in PRECISIONS)
    said = str(chosen).removeprefix("torch.")
    print(f"| {recipe} | {work} | {shown} | {said} | {'yes' if is_right else 'no'} | {measured:.1f} |", flush=True)


if __name__ == "__main__":
    main()
