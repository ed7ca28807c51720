"""The fastest way to run a network: measured once for a device, network, shape, precisions and version of torch."""

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import nn

from activelabel.prediction.devices import choice as choice_module
from activelabel.prediction.devices.choice import Choice, Work, measured_choice, seconds_of_run

CPU, FLOAT32, BFLOAT16 = torch.device("cpu"), torch.float32, torch.bfloat16
SHAPE = (2, 1, 8, 8, 8)
WAYS = [(layout, dtype) for dtype in ("bfloat16", "float32") for layout in ("channels_last_3d", "contiguous")]


class FakeTimer:
    """Says how long each way takes, 9 s if nothing else is said, and counts how often it is asked."""

    def __init__(self, seconds: Mapping[tuple[str, str], float]) -> None:
        self._seconds = seconds
        self.asked = 0

    def __call__(self, network: nn.Module, way: Choice) -> float:
        self.asked += 1
        return self._seconds.get((way.layout, way.precision), 9.0)


@pytest.mark.parametrize("fastest", WAYS)
def test_the_fastest_way_is_chosen_and_measured_once(fastest: tuple[str, str], tmp_path: Path) -> None:
    timer, file, network = FakeTimer({fastest: 1.0}), tmp_path / "layouts.json", nn.Conv3d(1, 2, 3)
    chosen = [measured_choice("pass", network, SHAPE, [BFLOAT16, FLOAT32], CPU, file, timer) for _ in range(3)]
    assert chosen == [Choice(*fastest)] * 3
    assert timer.asked == 4
    (key,) = json.loads(file.read_text(encoding="utf-8"))
    assert key.startswith(f"torch {torch.__version__} pass on cpu bfloat16/float32 2x1x8x8x8 ")


def test_another_work_network_shape_or_precision_is_measured_by_itself(tmp_path: Path) -> None:
    timer, file, network = FakeTimer({}), tmp_path / "layouts.json", nn.Conv3d(1, 2, 3)
    measured_choice("pass", network, SHAPE, [FLOAT32], CPU, file, timer)
    measured_choice("step", network, SHAPE, [FLOAT32], CPU, file, timer)
    measured_choice("pass", nn.Conv3d(1, 4, 3), SHAPE, [FLOAT32], CPU, file, timer)
    measured_choice("pass", network, (4, 1, 8, 8, 8), [FLOAT32], CPU, file, timer)
    measured_choice("pass", network, SHAPE, [BFLOAT16], CPU, file, timer)
    assert timer.asked == 10
    assert len(json.loads(file.read_text(encoding="utf-8"))) == 5


def test_choices_of_another_version_of_torch_are_measured_again_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timer, file, network = FakeTimer({}), tmp_path / "layouts.json", nn.Conv3d(1, 2, 3)
    monkeypatch.setattr(torch, "__version__", "2.13")
    measured_choice("pass", network, SHAPE, [FLOAT32], CPU, file, timer)
    monkeypatch.setattr(torch, "__version__", "2.130")
    measured_choice("pass", network, SHAPE, [FLOAT32], CPU, file, timer)
    assert timer.asked == 4
    (key,) = json.loads(file.read_text(encoding="utf-8"))
    assert key.startswith("torch 2.130 ")


def test_only_the_newest_choices_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice_module, "_MOST_KEPT", 2)
    timer, file, network = FakeTimer({}), tmp_path / "layouts.json", nn.Conv3d(1, 2, 3)
    for items in (1, 2, 3):
        measured_choice("pass", network, (items, 1, 8, 8, 8), [FLOAT32], CPU, file, timer)
    assert [key.split()[6] for key in json.loads(file.read_text(encoding="utf-8"))] == ["2x1x8x8x8", "3x1x8x8x8"]


@pytest.mark.parametrize("content", ["{", "[]", "7"])
def test_a_damaged_file_counts_as_empty(content: str, tmp_path: Path) -> None:
    timer, file = FakeTimer({("contiguous", "float32"): 1.0}), tmp_path / "layouts.json"
    file.write_text(content, encoding="utf-8")
    chosen = measured_choice("step", nn.Conv3d(1, 2, 3), SHAPE, [FLOAT32], CPU, file, timer)
    assert chosen == Choice("contiguous", "float32")
    assert list(json.loads(file.read_text(encoding="utf-8")).values()) == [["contiguous", "float32"]]


def test_too_little_memory_for_any_way_takes_the_first_and_keeps_nothing(tmp_path: Path) -> None:
    timer, file = FakeTimer(dict.fromkeys(WAYS, math.inf)), tmp_path / "layouts.json"
    chosen = measured_choice("pass", nn.Conv3d(1, 2, 3), SHAPE, [BFLOAT16, FLOAT32], CPU, file, timer)
    assert chosen == Choice("channels_last_3d", "bfloat16")
    assert not file.exists()


@pytest.mark.parametrize("work", ["pass", "step"])
def test_measuring_leaves_weights_gradients_statistics_mode_and_random_numbers_as_they_were(
    work: Work,
) -> None:
    network = nn.Sequential(nn.Conv3d(1, 2, 3), nn.BatchNorm3d(2), nn.Dropout(0.5)).eval()
    before = {name: values.clone() for name, values in network.state_dict().items()}
    torch.manual_seed(3)
    state = torch.random.get_rng_state()
    assert measured_choice(work, network, SHAPE, [FLOAT32], CPU, None).dtype is FLOAT32
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(before[name], values) for name, values in network.state_dict().items())
    assert all(values.grad is None for values in network.parameters())
    assert not any(layer.training for layer in network.modules())


class Slow(nn.Module):
    """A network whose pass takes a tenth of a second."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[bool] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.runs.append(torch.is_autocast_enabled("cpu"))
        time.sleep(0.1)
        return images


def test_a_run_of_a_slow_network_is_measured_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice_module, "_MOST_SECONDS", 0.05)
    network = Slow()
    assert seconds_of_run("pass", network, SHAPE, Choice("contiguous", "bfloat16"), CPU) >= 0.1
    assert network.runs == [True, True], "the first run does not count, the second does"


def test_the_mean_of_five_runs_counts_after_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice_module, "_MOST_SECONDS", 600.0)  # a busy machine may take more than two
    network = Slow()
    assert seconds_of_run("pass", network, SHAPE, Choice("contiguous", "float32"), CPU) >= 0.1
    assert len(network.runs) == 7
    assert not any(network.runs)


def test_a_way_for_which_memory_does_not_suffice_takes_forever() -> None:
    class Full(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise torch.OutOfMemoryError("too little")

    assert seconds_of_run("pass", Full(), SHAPE, Choice("contiguous", "float32"), CPU) == math.inf
