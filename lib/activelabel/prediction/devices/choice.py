"""The memory layout and the precision in which a network is fastest on a device: measured at its first use, and kept.

On a CPU the layers of `prediction.devices.layout` and `training.cpu_layers` want the channels innermost, so that only
precisions are measured, and those only if it multiplies bfloat16: see `cpu_precision`.
"""

import copy
import hashlib
import itertools
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from activelabel.out_of_memory import is_out_of_memory
from activelabel.prediction.devices.kept_choices import (
    Turn,
    Way,
    keep_here,
    keep_way,
    kept_way,
    of_this_torch,
    read_choices,
    turn_to_measure,
)
from activelabel.prediction.devices.processor import processor_name

logger = logging.getLogger(__name__)

Work = Literal["pass", "step"]
"""What is measured: a forward pass, or a training step, which has a backward pass as well."""

LAYOUTS: Mapping[str, torch.memory_format] = {
    "channels_last_3d": torch.channels_last_3d,
    "contiguous": torch.contiguous_format,
}
INNERMOST = "channels_last_3d"
_LEAST_TURNS, _TURNS = 2, 7
"""How often each way is run. In the first turn CUDA chooses its kernels, which takes longer than any later run."""
_MOST_SECONDS = 2.0
"""After so long for each way, by the time that is measured, no further turn begins but the second."""
_LEAST_GAIN = 0.05
"""By what share of its time another precision must be faster than float32, which is exact, to be chosen."""


@dataclass(frozen=True)
class Choice:
    """A way to run a network, by the names of a layout in `LAYOUTS` and of a type of torch."""

    layout: str
    precision: str

    @property
    def names(self) -> Way:
        """As it is kept."""
        return self.layout, self.precision

    @property
    def memory_format(self) -> torch.memory_format:
        """The layout."""
        return LAYOUTS[self.layout]

    @property
    def dtype(self) -> torch.dtype:
        """The type of the network's values; its weights stay float32."""
        dtype: torch.dtype = getattr(torch, self.precision)
        return dtype


Measure = Callable[[Choice], float]
"""Runs a network once in a way, and gives the seconds; infinite if memory does not suffice."""


def measured_choice(
    work: Work,
    network: nn.Module,
    shape: Sequence[int],
    dtypes: Sequence[torch.dtype],
    device: torch.device,
    file: Path | None,
    measure: Measure | None = None,
    layouts: Sequence[str] = tuple(LAYOUTS),
) -> Choice:
    """The fastest way to run a `network` on a device, on batches of a `shape` (B, C, *S).

    Where float32 is nearly as fast as the others, it is chosen: for a few hundredths nobody wants rounded values.
    It is kept in `file` for this work, device, network, shape, these precisions and this version of torch; None keeps
    none. A file that is damaged counts as empty. Choices of other versions of torch are removed when one is written. A
    way for which there is too little memory is not chosen; if there is too little for any, it is the first. One process
    measures it, and those that waited for it take what it has kept; within `while_a_person_waits`, for a few seconds,
    after which it is the first way. If the `file` cannot be written, this process keeps what it has measured; on a
    CPU, it is the first way without measuring: others would perhaps choose another.

    Args:
        work: what is measured.
        network: on the device; neither its weights nor its mode are changed.
        shape: of a batch.
        dtypes: the precisions among which is chosen.
        device: where it runs.
        file: where choices are kept.
        measure: by default that of `Runs`.
        layouts: among which is chosen, by their names.
    """
    ways = [Choice(layout, _name(dtype)) for dtype, layout in itertools.product(dtypes, layouts)]

    def measured() -> tuple[Choice, bool]:
        return _measured(work, ways, measure or Runs(work, network, shape, device).seconds, device)

    if file is None:
        return measured()[0]
    key = _key(work, network, shape, dtypes, device)
    found = _kept(file, key, ways)
    if found is not None:
        return found
    with turn_to_measure(file, key) as turn:
        found = _kept(file, key, ways)
        if found is not None:
            return found
        if turn is Turn.OTHERS:
            return ways[0]
        if turn is Turn.UNWRITABLE and device.type == "cpu":
            keep_here(file, key, ways[0].names)
            return ways[0]
        chosen, fits = measured()
        if fits:
            keep_way(file, key, chosen.names)
    return chosen


def _measured(work: Work, ways: Sequence[Choice], measure: Measure, device: torch.device) -> tuple[Choice, bool]:
    """The fastest way, and whether memory suffices for it."""
    seconds = least_seconds(measure, ways)
    chosen = _fastest(seconds)
    shown = ", ".join(f"{way.precision} {way.layout} {value * 1000:.1f} ms" for way, value in seconds.items())
    logger.info("a %s on %s: %s; chosen: %s %s", work, _device_name(device), shown, chosen.precision, chosen.layout)
    return chosen, math.isfinite(seconds[chosen])


def _kept(file: Path, key: str, ways: Sequence[Choice]) -> Choice | None:
    """The way that is kept, if it is one of `ways`."""
    kept = kept_way(file, key)
    return next((way for way in ways if kept == way.names), None)


def kept_precision(
    work: Work, shape: Sequence[int], dtypes: Sequence[torch.dtype], device: torch.device, file: Path
) -> torch.dtype | None:
    """The precision in `file` that was measured last for any network on batches of a `shape`; None if none was."""
    begins = _key_of_any(work, shape, dtypes, device)
    ways = {(layout, _name(dtype)): dtype for layout in LAYOUTS for dtype in dtypes}
    found = [tuple(way) for key, way in read_choices(file).items() if key.startswith(begins) and isinstance(way, list)]
    return ways.get(found[-1]) if found else None


def least_seconds(measure: Measure, ways: Sequence[Choice]) -> dict[Choice, float]:
    """The least seconds of a run in each way, infinite for those for which memory does not suffice.

    The ways take turns, forwards and backwards, and the least counts: what else a machine does makes runs longer, and
    falls on all ways alike. Of ways that were measured one after the other, it would change the order.
    """
    spent, least = 0.0, dict.fromkeys(ways, math.inf)
    left = list(ways)
    for turn in range(_TURNS):
        if turn >= _LEAST_TURNS and spent > _MOST_SECONDS * len(ways):
            break
        for way in list(left):
            seconds = measure(way)
            spent += seconds if math.isfinite(seconds) else 0.0
            least[way] = min(least[way], seconds)
            if math.isinf(seconds):
                left.remove(way)
                least[way] = math.inf
        left.reverse()
    return least


def _fastest(seconds: Mapping[Choice, float]) -> Choice:
    """The way with the least seconds, or the first; of float32, if no other is faster by `_LEAST_GAIN`."""
    fastest = min(seconds, key=lambda way: seconds[way])
    exact = [way for way in seconds if way.dtype is torch.float32]
    if exact:
        of_exact = min(exact, key=lambda way: seconds[way])
        if math.isfinite(seconds[of_exact]) and seconds[fastest] > (1 - _LEAST_GAIN) * seconds[of_exact]:
            return of_exact
    return fastest


class Runs:
    """Single runs of a copy of a network on the same images, whose time is taken.

    On a CPU it is the time for which this thread had a processor, one of those that compute a run together: while other
    programs run, it takes many times as long by the clock, in either way. There is one copy at a time, turned from
    layout to layout: several would take the memory that is measured.
    """

    def __init__(self, work: Work, network: nn.Module, shape: Sequence[int], device: torch.device) -> None:
        self._work = work
        self._network = network
        self._shape = shape
        self._device = device
        self._copy: nn.Module | None = None

    def seconds(self, way: Choice) -> float:
        """The seconds of a run; infinite if memory does not suffice, for the copy or for its run."""
        try:
            with torch.random.fork_rng(devices=[self._device] if self._device.type == "cuda" else []):
                return self._timed(self._turned(way), way)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error, self._device):
                raise
            return math.inf
        finally:
            if self._copy is not None:
                self._copy.zero_grad(set_to_none=True)

    def _timed(self, copied: nn.Module, way: Choice) -> float:
        images = torch.rand(*self._shape, device=self._device)
        clock = time.thread_time if self._device.type == "cpu" else time.perf_counter
        _wait(self._device)
        begun = clock()
        _run(self._work, copied, images, way)
        _wait(self._device)
        return clock() - begun

    def _turned(self, way: Choice) -> nn.Module:
        if self._copy is None:
            self._copy = copy.deepcopy(self._network).train(self._work == "step")
        return self._copy.to(memory_format=way.memory_format)


def _run(work: Work, network: nn.Module, images: torch.Tensor, way: Choice) -> None:
    mixed = way.dtype is not torch.float32
    autocast = torch.autocast(images.device.type, dtype=way.dtype if mixed else None, enabled=mixed)
    with torch.set_grad_enabled(work == "step"), autocast:
        logits = network(images)
    if work == "step":
        logits.float().square().mean().backward()


def _key(
    work: Work, network: nn.Module, shape: Sequence[int], dtypes: Sequence[torch.dtype], device: torch.device
) -> str:
    described = hashlib.sha256(str(network).encode()).hexdigest()[:16]
    return f"{_key_of_any(work, shape, dtypes, device)}{described}"


def _key_of_any(work: Work, shape: Sequence[int], dtypes: Sequence[torch.dtype], device: torch.device) -> str:
    """The beginning that the keys of all networks have in common."""
    size, names = "x".join(map(str, shape)), "/".join(map(_name, dtypes))
    return f"{of_this_torch()}{work} on {_device_name(device)} {names} {size} "


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _device_name(device: torch.device) -> str:
    if device.type == "cpu":
        return processor_name()
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
