"""The floating-point type of a network: bfloat16 where the hardware multiplies it natively, float32 elsewhere.

Whether that is faster is measured, see `choice` and `cpu_precision`. The type applies to the forward pass alone.
Softmax, blending and statistics are always float32.
"""

from dataclasses import dataclass
from typing import Literal

import torch

from activelabel.prediction.devices.processor import BFLOAT16_FLAGS, cpu_flags

PrecisionName = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class Precision:
    """The chosen type, and the reason as one phrase for a log or a report."""

    dtype: torch.dtype
    reason: str

    def __str__(self) -> str:
        return f"{str(self.dtype).removeprefix('torch.')} ({self.reason})"


def choose_precision(requested: PrecisionName, device: torch.device) -> Precision:
    """The precision for a network on `device`: the requested one or, for `auto`, bfloat16 where it is native."""
    if requested != "auto":
        return Precision(torch.bfloat16 if requested == "bfloat16" else torch.float32, "as requested")
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        # Ampere is the first generation whose tensor cores multiply bfloat16.
        if torch.cuda.get_device_capability(device) >= (8, 0):
            return Precision(torch.bfloat16, f"{name} multiplies it natively")
        return Precision(torch.float32, f"{name} has no native bfloat16")
    if device.type != "cpu":
        return Precision(torch.float32, f"bfloat16 is not used on '{device.type}'")
    flags = cpu_flags()
    native = [flag for flag in BFLOAT16_FLAGS if flag in flags]
    if not native:
        return Precision(torch.float32, f"this CPU has none of {', '.join(BFLOAT16_FLAGS)}")
    if not torch.backends.mkldnn.is_available():
        return Precision(torch.float32, "this build of torch lacks oneDNN")
    return Precision(torch.bfloat16, f"this CPU has {native[0]}")
