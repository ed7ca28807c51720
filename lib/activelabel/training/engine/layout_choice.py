"""The memory layout in which a network trains fastest on a GPU: measured at its first use there, and kept.

On a CPU nothing is measured: the layers of `training.cpu_layers` want the channels innermost.
"""

import copy
import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from activelabel.data.files.writing import write_atomically
from activelabel.optional_parts import optional
from activelabel.training.engine.steps import MixedPrecision

logger = logging.getLogger(__name__)

LAYOUTS: Mapping[str, torch.memory_format] = {
    "channels_last_3d": torch.channels_last_3d,
    "contiguous": torch.contiguous_format,
}
_WARM_UP, _MEASURED = 2, 5
"""Steps before and while the time is taken: in the first ones CUDA chooses its kernels."""

Measure = Callable[[nn.Module, torch.memory_format], float]
"""From a network and a layout to the seconds of a step."""


def measured_layout(
    network: nn.Module,
    shape: Sequence[int],
    precision: MixedPrecision,
    file: Path | None,
    measure: Measure | None = None,
) -> torch.memory_format:
    """The fastest layout for steps of a `network` on its device, on batches of a `shape` (B, C, *S).

    The choice is kept in `file` for this device, network, shape, precision and version of torch; None keeps none. A
    file that is damaged counts as empty.
    """
    measure = measure or (lambda copied, layout: seconds_of_step(copied, shape, precision, layout))
    key = _key(network, shape, precision)
    kept = _read(file)
    if kept.get(key) not in LAYOUTS:
        seconds = {name: measure(copy.deepcopy(network), layout) for name, layout in LAYOUTS.items()}
        kept[key] = min(seconds, key=lambda name: seconds[name])
        shown = ", ".join(f"{name} {value * 1000:.1f} ms" for name, value in seconds.items())
        logger.info("steps on %s: %s; chosen: %s", _device_name(precision.device), shown, kept[key])
        if file is not None:
            with optional("the layout is measured again by the next training"):
                write_atomically(file, json.dumps(kept, indent=1).encode())
    return LAYOUTS[kept[key]]


def seconds_of_step(
    network: nn.Module, shape: Sequence[int], precision: MixedPrecision, layout: torch.memory_format
) -> float:
    """The mean seconds of a forward and a backward pass of a network, whose weights and random numbers do not count."""
    network.to(memory_format=layout).train()
    device = precision.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        images = torch.rand(*shape, device=device).to(memory_format=layout)
        begun = 0.0
        for number in range(_WARM_UP + _MEASURED):
            if number == _WARM_UP:
                _wait(device)
                begun = time.perf_counter()
            with precision.autocast():
                logits = network(images)
            logits.float().square().mean().backward()
        _wait(device)
    return (time.perf_counter() - begun) / _MEASURED


def _key(network: nn.Module, shape: Sequence[int], precision: MixedPrecision) -> str:
    described = hashlib.sha256(str(network).encode()).hexdigest()[:16]
    size = "x".join(map(str, shape))
    return f"{_device_name(precision.device)} torch {torch.__version__} {precision.dtype} {size} {described}"


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _read(file: Path | None) -> dict[str, str]:
    if file is None or not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        logger.warning("%s is damaged: layouts are measured again", file)
        return {}
    return found if isinstance(found, dict) else {}


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
