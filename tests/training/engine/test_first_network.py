"""The network of a training in the layout and the precision that are measured, the same in all processes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_plan import tiny_plan
from torch import nn

from activelabel.prediction.devices.choice import Choice
from activelabel.training.engine import first_network as module
from activelabel.training.engine.first_network import measured_network
from activelabel.training.engine.steps import MixedPrecision
from activelabel.training.engine.together import ALONE, Together

CPU = torch.device("cpu")


class SecondOfTwo(Together):
    """A process beside one that has found another way to be the fastest."""

    def gathered(self, found: list[Any]) -> list[Any]:
        """What both have found, the first one's first."""
        return [Choice("contiguous", "bfloat16"), *found]


@pytest.mark.parametrize(
    ("requested", "native", "offered"),
    [
        ("auto", torch.bfloat16, [torch.bfloat16, torch.float32]),
        ("auto", torch.float32, [torch.float32]),
        ("bfloat16", torch.bfloat16, [torch.bfloat16]),
    ],
)
def test_only_auto_offers_float32_beside_the_native_precision(
    requested: Any,
    native: torch.dtype,
    offered: list[torch.dtype],
    blobs: Callable[[int], Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []

    def measured(work: str, network: nn.Module, shape: Any, dtypes: Any, device: Any, file: Any) -> Choice:
        asked.append((work, dtypes, file))
        return Choice("contiguous", "float32")

    monkeypatch.setattr(module, "measured_choice", measured)
    file = tmp_path / "layouts.json"
    plan = replace(tiny_plan(blobs(2), tmp_path, 1, validation=1), precision=requested, choices_file=file)
    _, precision = measured_network(nn.Conv3d(1, 2, 3), plan, MixedPrecision(CPU, native), ALONE)
    assert asked == [("step", offered, file)]
    assert precision.dtype is torch.float32


def test_processes_that_train_together_take_the_choice_of_the_first(
    blobs: Callable[[int], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "measured_choice", lambda *_: Choice("channels_last_3d", "float32"))
    network = nn.Conv3d(4, 2, 3)
    plan, precision = tiny_plan(blobs(2), tmp_path, 1, validation=1), MixedPrecision(CPU, torch.bfloat16)
    network, precision = measured_network(network, plan, precision, SecondOfTwo(1, 2))
    assert precision.dtype is torch.bfloat16
    assert network.weight.is_contiguous()
