"""The precision in which networks run here: that of the hardware, or what was measured as faster."""

from pathlib import Path

import torch

from activelabel.prediction.devices.choice import Work, kept_precision
from activelabel.prediction.devices.cpu_precision import MEASURED
from activelabel.prediction.devices.fastest_copy import measured_shape
from activelabel.prediction.devices.precision import Precision, PrecisionName, choose_precision
from activelabel.recipes import Recipe
from activelabel.training.engine.steps import mixed_precision


def used_precision(requested: PrecisionName, device: torch.device, recipe: Recipe, choices_file: Path | None) -> str:
    """The precision of predictions, and that of trainings where it is another, each with the reason.

    `auto` is what was measured last for networks of these sizes; before that, and without a `choices_file`, what the
    hardware has.
    """
    settings = recipe.training
    batch = settings.batch_size * settings.patches_per_volume
    pass_shape = measured_shape((recipe.channel_count, *recipe.prediction.window_size), device)
    step_shape = (batch, recipe.channel_count, *settings.patch_size)
    native = choose_precision(requested, device)
    mixed = mixed_precision(requested, device).dtype
    of_step = native if mixed is native.dtype else Precision(mixed, native.reason)
    if requested == "auto":
        native = _measured("pass", pass_shape, native, device, choices_file)
        of_step = _measured("step", step_shape, of_step, device, choices_file)
    return str(native) if native.dtype is of_step.dtype else f"predictions: {native}; trainings: {of_step}"


def _measured(
    work: Work, shape: tuple[int, ...], native: Precision, device: torch.device, choices_file: Path | None
) -> Precision:
    dtypes = list(dict.fromkeys([native.dtype, torch.float32]))
    if len(dtypes) == 1 or choices_file is None:
        return native
    kept = kept_precision(work, shape, dtypes, device, choices_file)
    if kept is None:
        return Precision(native.dtype, f"{native.reason}; the first use measures whether float32 is faster")
    return Precision(kept, MEASURED)
