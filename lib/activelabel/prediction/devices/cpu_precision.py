"""The precision in which a network is fastest on a processor that multiplies bfloat16: measured at its first use.

Flags do not tell it: of two processors with the same ones, or of one with and without its tiles, bfloat16 takes half of
float32's time on the first and more than it on the second.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from activelabel.prediction.devices.choice import INNERMOST, Measure, Work, measured_choice
from activelabel.prediction.devices.precision import Precision, PrecisionName, choose_precision

CPU = torch.device("cpu")
MEASURED = "it is the fastest for this network here"
"""The reason for a precision that a measurement has chosen."""


def cpu_precision(
    work: Work,
    network: nn.Module,
    requested: PrecisionName,
    shape: Sequence[int],
    file: Path | None,
    measure: Measure | None = None,
) -> Precision:
    """The precision for a `network` on this processor, with the layers and the layout that it has there.

    Without a `file` nothing is measured, as nothing would be kept: then it is that of `choose_precision`.

    Args:
        work: for which the precision is.
        network: on the CPU, with its channels innermost; neither its weights nor its mode are changed.
        requested: only `auto` lets a measurement decide, and only between float32 and bfloat16 that is native.
        shape: of a batch (B, C, *S).
        file: where choices are kept, by processor, see `measured_choice`.
        measure: by default that of `Runs`.
    """
    native = choose_precision(requested, CPU)
    if not is_measured(native, requested) or file is None:
        return native
    dtypes = [native.dtype, torch.float32]
    chosen = measured_choice(work, network, shape, dtypes, CPU, file, measure, [INNERMOST])
    return native if chosen.dtype is native.dtype else Precision(chosen.dtype, MEASURED)


def is_measured(native: Precision, requested: PrecisionName) -> bool:
    """Whether a processor has two precisions between which a measurement decides."""
    return requested == "auto" and native.dtype is not torch.float32
