"""A copy of a network in the layout and the precision that were measured to be the fastest."""

from pathlib import Path

import pytest
import torch
from torch import nn

from activelabel.prediction.devices import cpu_precision
from activelabel.prediction.devices import fastest_copy as module
from activelabel.prediction.devices.choice import Choice
from activelabel.prediction.devices.cpu_precision import MEASURED
from activelabel.prediction.devices.fastest_copy import fastest_copy, measured_copy, measured_shape
from activelabel.prediction.devices.precision import Precision, PrecisionName

CPU, ITEM = torch.device("cpu"), (1, 6, 6, 6)


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device with native bfloat16."""

    def choose(requested: PrecisionName, device: torch.device) -> Precision:
        wanted = torch.float32 if requested == "float32" else torch.bfloat16
        return Precision(wanted, "native" if requested == "auto" else "as requested")

    monkeypatch.setattr(module, "choose_precision", choose)


def fastest(layout: str, precision: str) -> object:
    """A measurement by which this way is the fastest."""
    return lambda way: 1.0 if way == Choice(layout, precision) else 2.0


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize(
    ("requested", "quickest", "shown"),
    [
        ("auto", "bfloat16", "bfloat16 (native)"),
        ("auto", "float32", "float32 (it is the fastest for this network here)"),
        ("bfloat16", "float32", "bfloat16 (as requested)"),
        ("float32", "bfloat16", "float32 (as requested)"),
    ],
)
def test_only_auto_lets_a_measurement_decide_on_the_precision(
    requested: PrecisionName, quickest: str, shown: str
) -> None:
    measure = fastest("contiguous", quickest)
    _, precision = measured_copy(nn.Conv3d(1, 2, 3), CPU, requested, ITEM, None, measure)  # type: ignore[arg-type]
    assert str(precision) == shown


@pytest.mark.parametrize("layout", ["channels_last_3d", "contiguous"])
def test_the_copy_has_the_fastest_layout_and_the_network_stays_as_it_is(layout: str) -> None:
    network = nn.Conv3d(4, 2, 3)
    copied, _ = measured_copy(network, CPU, "float32", (4, 6, 6, 6), None, fastest(layout, "float32"))  # type: ignore[arg-type]
    innermost = copied.weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert innermost == (layout == "channels_last_3d")
    assert torch.equal(copied.weight, network.weight)
    assert network.weight.is_contiguous()
    assert network.training
    assert not copied.training


@pytest.mark.parametrize(("quickest", "shown"), [("bfloat16", "native"), ("float32", MEASURED)])
def test_on_a_processor_only_the_precision_is_measured(
    quickest: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu_precision, "choose_precision", lambda *_: Precision(torch.bfloat16, "native"))
    asked = []

    def measure(way: Choice) -> float:
        asked.append(way)
        return 1.0 if way.precision == quickest else 2.0

    network, file = nn.Conv3d(4, 2, 3), tmp_path / "layouts.json"
    copied, precision = fastest_copy(network, CPU, "auto", (4, 6, 6, 6), file, measure)
    assert str(precision) == f"{quickest} ({shown})"
    assert {(way.layout, way.precision) for way in asked} == {
        ("channels_last_3d", "bfloat16"),
        ("channels_last_3d", "float32"),
    }
    assert copied.weight.is_contiguous(memory_format=torch.channels_last_3d)
    asked.clear()
    fastest_copy(network, CPU, "auto", (4, 6, 6, 6), file, measure)
    assert not asked  # it is kept


@pytest.mark.parametrize(("length", "items"), [(96, 2), (32, 24), (192, 2)])
def test_on_a_processor_as_many_items_are_measured_as_a_prediction_has_at_once(length: int, items: int) -> None:
    assert measured_shape((3, length, length, length), CPU) == (items, 3, length, length, length)
    assert measured_shape((3, length, length, length), torch.device("cuda")) == (8, 3, length, length, length)
