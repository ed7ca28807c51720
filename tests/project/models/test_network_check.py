"""A network that cannot do what its recipe asks is refused before anything is annotated."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from training_study import TINY

from activelabel.errors import InvalidInputError, NotFoundError
from activelabel.networks import NETWORKS, build_network, size_steps
from activelabel.project.models.network_check import check_network
from activelabel.recipes import NetworkSettings, Recipe, load_recipe

CODE = """
from torch import nn

def plain(in_channels, out_channels):
    return nn.Conv3d(in_channels, out_channels, 3, padding=1)

def dropping(in_channels, out_channels):
    return nn.Sequential(nn.Dropout(0.1), nn.Conv3d(in_channels, out_channels, 3, padding=1))

def shrinking(in_channels, out_channels):
    return nn.Sequential(nn.Dropout(0.1), nn.Conv3d(in_channels, out_channels, 3))

def flat(in_channels, out_channels):
    return nn.Sequential(nn.Dropout(0.1), nn.Conv2d(in_channels, out_channels, 3, padding=1))
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "networks_to_check.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "networks_to_check", raising=False)


def recipe(repeats: int = 3, strategy: str = "entropy", **network: Any) -> Recipe:
    tiny = load_recipe(str(TINY))
    return tiny.model_copy(
        update={
            "network": NetworkSettings(**network),
            "prediction": tiny.prediction.model_copy(update={"repeats": repeats}),
            "query": tiny.query.model_copy(update={"strategy": strategy}),
        }
    )


def test_a_network_with_dropout_passes() -> None:
    check_network(recipe(type="networks_to_check:dropping"), classes=2)


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ({"kind": "unit"}, r"network\.kind 'unit' does not exist: use one of anisotropic_unet, residual_unet, unet"),
        ({"strides": (2, 2, 2, 2)}, r"network\.strides has 4 entries for 4 levels of network\.channels"),
        (
            {"channels": (4, 8), "strides": (3,)},
            r"training\.patch_size is \[.*\], and a unet with strides \[3\] takes",
        ),
    ],
    ids=["its name", "its levels", "its patches"],
)
def test_a_network_of_the_app_that_cannot_be_trained_is_refused(network: dict[str, Any], said: str) -> None:
    with pytest.raises((InvalidInputError, NotFoundError), match=said):
        check_network(recipe(**network), classes=2)


@pytest.mark.parametrize("changed", ["prediction", "proxy"])
def test_windows_and_patches_of_the_proxy_task_are_looked_at_too(changed: str) -> None:
    chosen = load_recipe("quick_warm")
    key = "window_size" if changed == "prediction" else "patch_size"
    section = getattr(chosen, changed).model_copy(update={key: (33, 32, 32)})
    with pytest.raises(
        InvalidInputError, match=rf"{changed}\.{key} is \[33, 32, 32\], .* takes multiples of \[\d+, \d+, "
    ):
        check_network(chosen.model_copy(update={changed: section}), classes=2)


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_network_takes_what_is_a_multiple_of_its_steps_and_no_less(kind: str) -> None:
    """Run with the least size, and with one more voxel along each axis that is halved."""
    units = 0 if kind == "anisotropic_unet" else 1
    settings = NetworkSettings(kind=kind, channels=(2, 4, 4, 4), strides=(2, 1, 2), residual_units=units)
    if kind == "anisotropic_unet":
        settings = settings.model_copy(update={"strides": (2, 2, 2)})
    network, steps = build_network(settings, 2).eval(), size_steps(settings)
    size = [2 * step for step in steps]
    assert network(torch.zeros(1, 1, *size)).shape[2:] == tuple(size)
    for axis in range(3):
        longer = [length + (axis == other) for other, length in enumerate(size)]
        if steps[axis] == 1:
            assert network(torch.zeros(1, 1, *longer)).shape[2:] == tuple(longer)
        else:
            with pytest.raises(RuntimeError):
                network(torch.zeros(1, 1, *longer))


def test_a_network_without_dropout_passes_without_repeats() -> None:
    check_network(recipe(repeats=0, type="networks_to_check:plain"), classes=2)
    check_network(recipe(repeats=0, dropout=0.0), classes=2)


@pytest.mark.parametrize("network", [{"type": "networks_to_check:plain"}, {"dropout": 0.0}], ids=["own", "the app's"])
def test_a_network_without_dropout_cannot_be_repeated(network: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=r"prediction\.repeats is 3: repeats would be identical") as refused:
        check_network(recipe(**network), classes=2)
    assert len(str(refused.value).splitlines()) == 1


def test_another_size_of_the_output_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"expected logits \(1, 2, 16, 16, 16\) .* got \(1, 2, 14, 14, 14\)"):
        check_network(recipe(type="networks_to_check:shrinking"), classes=2)


def test_a_network_that_does_not_take_a_window_is_refused_in_one_line() -> None:
    with pytest.raises(InvalidInputError, match=r"does not take a window of \(16, 16, 16\) voxels") as refused:
        check_network(recipe(type="networks_to_check:flat"), classes=2)
    assert len(str(refused.value).splitlines()) == 1


def test_a_strategy_by_features_needs_a_lowest_level() -> None:
    with pytest.raises(InvalidInputError, match="no lowest level that is known"):
        check_network(recipe(strategy="coreset", type="networks_to_check:dropping"), classes=2)
