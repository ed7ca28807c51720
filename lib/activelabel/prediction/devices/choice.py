"""The memory layout and the precision in which a network is fastest on a GPU: measured at its first use, and kept.

On a CPU nothing is measured: there the layers of `prediction.devices.layout` and `training.cpu_layers` want the
channels innermost, and only one precision is native.
"""

import copy
import hashlib
import itertools
import json
import logging
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from activelabel.data.files.writing import write_atomically
from activelabel.optional_parts import optional

logger = logging.getLogger(__name__)

Work = Literal["pass", "step"]
"""What is measured: a forward pass, or a training step, which has a backward pass as well."""

LAYOUTS: Mapping[str, torch.memory_format] = {
    "channels_last_3d": torch.channels_last_3d,
    "contiguous": torch.contiguous_format,
}
_WARM_UP, _MEASURED = 2, 5
"""Runs before and while the time is taken: in the first ones CUDA chooses its kernels."""
_MOST_SECONDS = 2.0
"""After so long no further run of a way begins; a large network then has two runs, of which one counts."""
_MOST_KEPT = 64
"""How many choices a file keeps; a project has one for each kind of model, each work and each GPU."""


@dataclass(frozen=True)
class Choice:
    """A way to run a network, by the names of a layout in `LAYOUTS` and of a type of torch."""

    layout: str
    precision: str

    @property
    def memory_format(self) -> torch.memory_format:
        """The layout."""
        return LAYOUTS[self.layout]

    @property
    def dtype(self) -> torch.dtype:
        """The type of the network's values; its weights stay float32."""
        dtype: torch.dtype = getattr(torch, self.precision)
        return dtype


Measure = Callable[[nn.Module, Choice], float]
"""From a network and a way to run it to the seconds of a run."""


def measured_choice(
    work: Work,
    network: nn.Module,
    shape: Sequence[int],
    dtypes: Sequence[torch.dtype],
    device: torch.device,
    file: Path | None,
    measure: Measure | None = None,
) -> Choice:
    """The fastest way to run a `network` on a device, on batches of a `shape` (B, C, *S).

    It is kept in `file` for this work, device, network, shape, these precisions and this version of torch; None keeps
    none. A file that is damaged counts as empty. Choices of other versions of torch are removed when one is written. A
    way for which there is too little memory is not chosen; if there is too little for any, it is the first.

    Args:
        work: what is measured.
        network: on the device; neither its weights nor its mode are changed.
        shape: of a batch.
        dtypes: the precisions among which is chosen.
        device: where it runs.
        file: where choices are kept.
        measure: by default `seconds_of_run`.
    """
    ways = [Choice(layout, _name(dtype)) for dtype, layout in itertools.product(dtypes, LAYOUTS)]
    key = _key(work, network, shape, dtypes, device)
    kept = _read(file)
    for way in ways:
        if kept.get(key) == [way.layout, way.precision]:
            return way
    measure = measure or (lambda copied, way: seconds_of_run(work, copied, shape, way, device))
    seconds = {way: measure(copy.deepcopy(network), way) for way in ways}
    chosen = min(ways, key=lambda way: seconds[way])
    shown = ", ".join(f"{way.precision} {way.layout} {value * 1000:.1f} ms" for way, value in seconds.items())
    logger.info("a %s on %s: %s; chosen: %s %s", work, _device_name(device), shown, chosen.precision, chosen.layout)
    if file is not None and math.isfinite(seconds[chosen]):
        with optional("the fastest way to run a network is measured again at its next use"):
            _write(file, {**{other: way for other, way in kept.items() if other != key}, key: chosen})
    return chosen


def kept_precision(
    work: Work, shape: Sequence[int], dtypes: Sequence[torch.dtype], device: torch.device, file: Path
) -> torch.dtype | None:
    """The precision in `file` that was measured last for any network on batches of a `shape`; None if none was."""
    begins = _key_of_any(work, shape, dtypes, device)
    ways = {(layout, _name(dtype)): dtype for layout in LAYOUTS for dtype in dtypes}
    found = [tuple(way) for key, way in _read(file).items() if key.startswith(begins) and isinstance(way, list)]
    return ways.get(found[-1]) if found else None


def seconds_of_run(work: Work, network: nn.Module, shape: Sequence[int], way: Choice, device: torch.device) -> float:
    """The mean seconds of a run, infinite if memory does not suffice; torch's random numbers stay as they were."""
    network.to(memory_format=way.memory_format).train(work == "step")
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            images = torch.rand(*shape, device=device)
            return _mean_seconds(lambda: _run(work, network, images, way), device)
    except torch.OutOfMemoryError:
        return math.inf


def _run(work: Work, network: nn.Module, images: torch.Tensor, way: Choice) -> None:
    mixed = way.dtype is not torch.float32
    autocast = torch.autocast(images.device.type, dtype=way.dtype if mixed else None, enabled=mixed)
    with torch.set_grad_enabled(work == "step"), autocast:
        logits = network(images)
    if work == "step":
        logits.float().square().mean().backward()


def _mean_seconds(run: Callable[[], None], device: torch.device) -> float:
    """The mean of the runs after the warm-up; of the last one, if there is time for no more."""
    started, taken = time.perf_counter(), list[float]()
    while len(taken) < 2 or (len(taken) < _WARM_UP + _MEASURED and time.perf_counter() - started < _MOST_SECONDS):
        begun = time.perf_counter()
        run()
        _wait(device)
        taken.append(time.perf_counter() - begun)
    return statistics.fmean(taken[_WARM_UP:] or taken[-1:])


def _key(
    work: Work, network: nn.Module, shape: Sequence[int], dtypes: Sequence[torch.dtype], device: torch.device
) -> str:
    described = hashlib.sha256(str(network).encode()).hexdigest()[:16]
    return f"{_key_of_any(work, shape, dtypes, device)}{described}"


def _key_of_any(work: Work, shape: Sequence[int], dtypes: Sequence[torch.dtype], device: torch.device) -> str:
    """The beginning that the keys of all networks have in common."""
    size, names = "x".join(map(str, shape)), "/".join(map(_name, dtypes))
    return f"{_torch()} {work} on {_device_name(device)} {names} {size} "


def _torch() -> str:
    return f"torch {torch.__version__}"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _write(file: Path, kept: Mapping[str, Any]) -> None:
    """Write the newest choices of this version of torch, which come last."""
    current = [(key, way) for key, way in kept.items() if key.startswith(f"{_torch()} ")][-_MOST_KEPT:]
    content = {key: [way.layout, way.precision] if isinstance(way, Choice) else way for key, way in current}
    write_atomically(file, json.dumps(content, indent=1).encode())


def _read(file: Path | None) -> dict[str, Any]:
    if file is None or not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        logger.warning("%s is damaged: the fastest way to run each network is measured again", file)
        return {}
    return found if isinstance(found, dict) else {}


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
