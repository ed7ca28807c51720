"""The memory layout of a training: measured once for a device, network, shape, precision and version of torch."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from activelabel.training.engine.layout_choice import measured_layout, seconds_of_step
from activelabel.training.engine.steps import MixedPrecision

PRECISION = MixedPrecision(torch.device("cpu"), torch.float32)
SHAPE = (2, 1, 8, 8, 8)


class FakeTimer:
    """Says how long each layout takes, and counts how often it is asked."""

    def __init__(self, channels_last: float, contiguous: float) -> None:
        self._seconds = {torch.channels_last_3d: channels_last, torch.contiguous_format: contiguous}
        self.asked = 0

    def __call__(self, network: nn.Module, layout: torch.memory_format) -> float:
        self.asked += 1
        return self._seconds[layout]


@pytest.mark.parametrize(
    ("timer", "chosen"),
    [(FakeTimer(1.0, 2.0), torch.channels_last_3d), (FakeTimer(2.0, 1.0), torch.contiguous_format)],
)
def test_the_fastest_layout_is_chosen_and_measured_once(
    timer: FakeTimer, chosen: torch.memory_format, tmp_path: Path
) -> None:
    file, network = tmp_path / "layouts.json", nn.Conv3d(1, 2, 3)
    assert [measured_layout(network, SHAPE, PRECISION, file, timer) for _ in range(3)] == [chosen] * 3
    assert timer.asked == 2
    (key,) = json.loads(file.read_text(encoding="utf-8"))
    assert key.startswith(f"cpu torch {torch.__version__} torch.float32 2x1x8x8x8 ")


def test_another_network_shape_or_precision_is_measured_by_itself(tmp_path: Path) -> None:
    timer, file, network = FakeTimer(1.0, 2.0), tmp_path / "layouts.json", nn.Conv3d(1, 2, 3)
    half = MixedPrecision(torch.device("cpu"), torch.bfloat16)
    measured_layout(network, SHAPE, PRECISION, file, timer)
    measured_layout(nn.Conv3d(1, 4, 3), SHAPE, PRECISION, file, timer)
    measured_layout(network, (4, 1, 8, 8, 8), PRECISION, file, timer)
    measured_layout(network, SHAPE, half, file, timer)
    assert timer.asked == 8
    assert len(json.loads(file.read_text(encoding="utf-8"))) == 4


@pytest.mark.parametrize("content", ["{", "[]", "7"])
def test_a_damaged_file_counts_as_empty(content: str, tmp_path: Path) -> None:
    timer, file = FakeTimer(2.0, 1.0), tmp_path / "layouts.json"
    file.write_text(content, encoding="utf-8")
    assert measured_layout(nn.Conv3d(1, 2, 3), SHAPE, PRECISION, file, timer) == torch.contiguous_format
    assert list(json.loads(file.read_text(encoding="utf-8")).values()) == ["contiguous"]


def test_measuring_leaves_weights_gradients_statistics_and_random_numbers_as_they_were() -> None:
    network = nn.Sequential(nn.Conv3d(1, 2, 3), nn.BatchNorm3d(2), nn.Dropout(0.5))
    before = {name: values.clone() for name, values in network.state_dict().items()}
    torch.manual_seed(3)
    state = torch.random.get_rng_state()
    assert measured_layout(network, SHAPE, PRECISION, None) in (torch.channels_last_3d, torch.contiguous_format)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(before[name], values) for name, values in network.state_dict().items())
    assert all(values.grad is None for values in network.parameters())


def test_a_step_takes_time() -> None:
    assert seconds_of_step(nn.Conv3d(1, 2, 3), SHAPE, PRECISION, torch.contiguous_format) > 0
