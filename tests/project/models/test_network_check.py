"""A network that cannot do what its recipe asks is refused before anything is annotated."""

import sys
from pathlib import Path
from typing import Any

import pytest
from training_study import TINY

from activelabel.errors import InvalidInputError
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
