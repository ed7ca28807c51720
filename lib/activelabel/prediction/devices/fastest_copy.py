"""A frozen copy of a network, as it predicts fastest on its device."""

import copy
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from activelabel.prediction.batching import BatchLimit
from activelabel.prediction.devices.choice import Measure, measured_choice
from activelabel.prediction.devices.cpu_precision import MEASURED, cpu_precision
from activelabel.prediction.devices.layout import channels_last_copy
from activelabel.prediction.devices.precision import Precision, PrecisionName, choose_precision

BATCH = 8
"""The items of a batch that is measured: as many as keep a GPU busy, and as fit into most."""


def measured_shape(item: Sequence[int], device: torch.device) -> tuple[int, ...]:
    """The shape (B, *item) of the batches that are measured; on a CPU, that of the batches of a prediction."""
    items = BatchLimit(math.prod(item[1:]), device).items if device.type == "cpu" else BATCH
    return (items, *item)


def fastest_copy(
    network: nn.Module,
    device: torch.device,
    requested: PrecisionName,
    item: Sequence[int],
    file: Path | None = None,
    measure: Measure | None = None,
) -> tuple[nn.Module, Precision]:
    """A copy of `network` on `device`, in evaluation mode, and the precision for it.

    Args:
        network: from `(B, *item)`.
        device: a CPU, whose layout is known, or a GPU, on which it is measured at the first use. The precision is
            measured on both, on a CPU if there is a `file`, see `cpu_precision`.
        requested: the precision; only `auto` lets a measurement decide.
        item: the shape of an input.
        file: where choices are kept, see `measured_choice`.
        measure: by default that of `Runs`.
    """
    if device.type == "cpu":
        copied = channels_last_copy(network, device)
        return copied, cpu_precision("pass", copied, requested, measured_shape(item, device), file, measure)
    return measured_copy(network, device, requested, item, file, measure)


def measured_copy(
    network: nn.Module,
    device: torch.device,
    requested: PrecisionName,
    item: Sequence[int],
    file: Path | None,
    measure: Measure | None = None,
) -> tuple[nn.Module, Precision]:
    """`fastest_copy`, by measurement."""
    precision = choose_precision(requested, device)
    dtypes = list(dict.fromkeys([precision.dtype, torch.float32])) if requested == "auto" else [precision.dtype]
    copied = copy.deepcopy(network).to(device).eval()
    chosen = measured_choice("pass", copied, (BATCH, *item), dtypes, device, file, measure)
    if chosen.dtype is not precision.dtype:
        precision = Precision(chosen.dtype, MEASURED)
    return copied.to(memory_format=chosen.memory_format), precision
