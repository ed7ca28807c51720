"""How much of the time a device is used, by what the device itself says, for `run.py`."""

import statistics
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType

import psutil
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from benchmarks.gpu.timing import Conditions, synchronise

SAMPLE_SECONDS = 0.1
Seconds = Callable[[], float]
"""What a device's clock says, to be asked once the device is done."""


class DeviceUse(AbstractContextManager["DeviceUse"]):
    """Watches a device from entry to exit, whatever runs on it.

    Attributes:
        busy_share: the share of the time in which a kernel runs, as NVML has it: the mean of what it says ten times a
            second of its latest period, a sixth of a second to one second long. On a processor it is the share of all
            its cores that are busy. Both count all programs. None if NVML does not answer: a line says so.
        forward_seconds: the time from the begin to the end of all forward passes on the device, with pauses within.
    """

    def __init__(self, conditions: Conditions, name: str) -> None:
        self.busy_share: float | None = None
        self.forward_seconds = 0.0
        self._conditions, self._name = conditions, name
        self._device = conditions.device
        self._passes: list[Seconds] = []
        self._depth = 0  # what a network calls counts with it
        self._stop: Callable[[], Seconds]
        self._shares: list[float] = []
        self._over = threading.Event()
        self._sampling = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "DeviceUse":
        """Begin to watch."""
        try:
            self._share()
        except Exception as error:  # noqa: BLE001  # NVML has errors of its own, in a package that may not be there
            why = f"NVML does not answer ({str(error).partition(chr(10))[0]})"
            self._conditions.leave_out(f"{self._name}: busy share", why)
        else:
            self._sampling.start()
        self._hooks = [
            register_module_forward_pre_hook(self._begin),
            register_module_forward_hook(self._end, always_call=True),  # also if there was too little memory
        ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, wait for the device, and sum up."""
        for hook in self._hooks:
            hook.remove()
        self._over.set()
        if self._sampling.ident is not None:
            self._sampling.join()
            self.busy_share = statistics.mean(self._shares or [self._share()])
        synchronise(self._device)
        self.forward_seconds = sum(seconds() for seconds in self._passes)

    def _sample(self) -> None:
        self._share()  # the first of a thread says nothing about a processor
        while not self._over.wait(SAMPLE_SECONDS):
            self._shares.append(self._share())

    def _share(self) -> float:
        on_gpu = self._device.type == "cuda"
        return (torch.cuda.utilization(self._device) if on_gpu else psutil.cpu_percent()) / 100

    def _begin(self, _network: nn.Module, _arguments: object) -> None:
        if self._depth == 0:
            self._stop = stopwatch(self._device)
        self._depth += 1

    def _end(self, _network: nn.Module, _arguments: object, _output: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._passes.append(self._stop())


def stopwatch(device: torch.device) -> Callable[[], Seconds]:
    """Begin to take the time of what the device is given, until what this returns is called."""
    if device.type != "cuda":
        begun = time.perf_counter()

        def stop() -> Seconds:
            seconds = time.perf_counter() - begun
            return lambda: seconds

        return stop
    begin = event(device)

    def stop_on_gpu() -> Seconds:
        end = event(device)
        return lambda: float(begin.elapsed_time(end)) / 1e3

    return stop_on_gpu


def event(device: torch.device) -> torch.cuda.Event:
    """The moment at which the device reaches what it is given next."""
    moment = torch.cuda.Event(enable_timing=True)
    moment.record(torch.cuda.current_stream(device))
    return moment
