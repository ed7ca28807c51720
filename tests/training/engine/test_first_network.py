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
from activelabel.prediction.devices.precision import Precision
from activelabel.training.cpu_layers import QuickDropout, with_cpu_layers
from activelabel.training.engine import first_network as module
from activelabel.training.engine.first_network import first_network, measured_network
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


class SecondOnAnotherProcessor(Together):
    """A process beside one on whose processor another precision is the fastest."""

    def gathered(self, found: list[Any]) -> list[Any]:
        """What both have found, the first one's first."""
        return [torch.float32, *found]


@pytest.mark.parametrize(("together", "expected"), [(ALONE, "bfloat16"), (SecondOnAnotherProcessor(1, 2), "float32")])
def test_on_a_processor_a_training_step_decides_with_the_layers_that_it_will_have(
    together: Together,
    expected: str,
    blobs: Callable[[int], Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []

    def precision_of(work: str, network: nn.Module, requested: str, shape: Any, file: Any) -> Precision:
        asked.append((work, requested, shape, file, any(type(layer) is QuickDropout for layer in network.modules())))
        return Precision(torch.bfloat16, "it is the fastest")

    monkeypatch.setattr(module, "cpu_precision", precision_of)
    file = tmp_path / "layouts.json"
    plan = replace(tiny_plan(blobs(2), tmp_path, 1, validation=1), precision="auto", choices_file=file)
    network, precision = first_network(plan, CPU, together)
    settings = plan.training
    shape = (settings.batch_size * settings.patches_per_volume, 1, *settings.patch_size)
    assert asked == [("step", "auto", shape, file, True)]
    assert precision == MixedPrecision(CPU, getattr(torch, expected))
    assert str(network) == str(with_cpu_layers(network))
