"""How much a device is used, by its own clock and by NVML, neither of which is on a machine without a GPU."""

import time
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from benchmarks.gpu import use as device_use
from benchmarks.gpu.timing import Conditions
from benchmarks.gpu.use import DeviceUse


class Clock:
    """A clock that stands still unless a layer takes its time, in milliseconds."""

    def __init__(self) -> None:
        self.now = 0.0


class Slow(nn.Module):
    """A layer that takes some milliseconds, and has no memory for negative values."""

    def __init__(self, clock: Clock, takes: float) -> None:
        super().__init__()
        self._clock, self._takes = clock, takes

    def forward(self, values: Tensor) -> Tensor:
        """The values."""
        self._clock.now += self._takes
        if bool((values < 0).any()):
            raise torch.OutOfMemoryError("negative")
        return values


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of a processor and of a made-up GPU, of which NVML says that it is busy for four fifths."""
    clock = Clock()

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self, stream: str) -> None:
            assert stream == "the stream"
            self.at = clock.now

        def elapsed_time(self, end: "Event") -> float:
            return end.at - self.at

    monkeypatch.setattr(device_use, "time", SimpleNamespace(perf_counter=lambda: clock.now / 1e3))
    monkeypatch.setattr(device_use, "synchronise", lambda device: None)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: "the stream")
    monkeypatch.setattr(torch.cuda, "utilization", lambda device: 80)
    return clock


def conditions(device: str, left_out: list[str] | None = None) -> Conditions:
    """Time enough, and a list of what is left out."""
    said = [] if left_out is None else left_out
    return Conditions(
        torch.device(device), True, time.monotonic() + 60, lambda name, why: said.append(f"{name}: {why}")
    )


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_pass_counts_once_with_all_that_it_calls_and_also_if_it_fails(clock: Clock, device: str) -> None:
    network = nn.Sequential(Slow(clock, 2), nn.Sequential(Slow(clock, 3)))
    network(torch.ones(1))  # before
    with DeviceUse(conditions(device), "quick") as use:
        network(torch.ones(1))
        clock.now += 100  # between
        with pytest.raises(torch.OutOfMemoryError):
            network(-torch.ones(1))
        network(torch.ones(1))
    assert use.forward_seconds == pytest.approx((5 + 2 + 5) / 1e3)


def test_the_busy_share_is_that_of_nvml(clock: Clock) -> None:
    with DeviceUse(conditions("cuda"), "quick") as use:
        pass
    assert use.busy_share == pytest.approx(0.8)


def test_without_nvml_there_is_a_line_and_all_else(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(device: torch.device) -> int:
        raise ModuleNotFoundError("nvidia-ml-py is not installed\nat all")

    monkeypatch.setattr(torch.cuda, "utilization", unknown)
    left_out: list[str] = []
    with DeviceUse(conditions("cuda", left_out), "quick") as use:
        Slow(clock, 7)(torch.ones(1))
    assert left_out == ["quick: busy share: NVML does not answer (nvidia-ml-py is not installed)"]
    assert use.busy_share is None
    assert use.forward_seconds == pytest.approx(7 / 1e3)
