"""The parts by which the sums of slices are taken: as large as memory allows, with the same sums."""

import logging
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from activelabel.acquisition import slice_sums as module
from activelabel.acquisition.aggregation import slice_products
from activelabel.acquisition.regions import REGIONS
from activelabel.acquisition.slice_sums import slice_sums
from activelabel.acquisition.uncertainty import MonteCarloStatistics
from activelabel.recipes import RegionSettings

MEASURES = ("entropy", "margin")


class Products:
    """Notes the maps, the weights and the voxels of each part; with more than `most` voxels memory runs out."""

    def __init__(self, most: int = 10**9) -> None:
        self.parts: list[tuple[int, int, int]] = []
        self._most = most

    def __call__(self, maps: Tensor, weights: Tensor, axis: int) -> Tensor:
        self.parts.append((len(maps), len(weights), maps[0].numel()))
        if maps[0].numel() > self._most:
            raise torch.OutOfMemoryError("too little")
        return slice_products(maps, weights, axis)


def sums_of(products: Products, regions: Sequence[str], axis: int, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    monkeypatch.setattr(module, "slice_products", products)
    statistics = MonteCarloStatistics()
    statistics.update(torch.rand((3, 8, 4, 4), generator=torch.Generator().manual_seed(0)).softmax(dim=0))
    return slice_sums(statistics, RegionSettings(), axis, MEASURES, regions, by_class=True)


@pytest.mark.parametrize(("regions", "thickness"), [((), 4), (tuple(REGIONS), 2)])
def test_more_maps_and_weights_have_smaller_parts(
    regions: Sequence[str], thickness: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three maps; weights are the regions, foreground and two classes: 6 in all, or 11 with five regions."""
    monkeypatch.setattr(module, "_PART_VALUES", 400)  # 66 or 36 voxels: slices have 16
    products = Products()
    sums_of(products, regions, 0, monkeypatch)
    assert products.parts == [(3, len(regions) + 3, 16 * thickness)] * (8 // thickness)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_out_of_memory_goes_on_with_smaller_parts_to_the_same_sums(
    axis: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole = sums_of(Products(), tuple(REGIONS), axis, monkeypatch)
    products = Products(most=40)
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        parts = sums_of(products, tuple(REGIONS), axis, patch)
    torch.testing.assert_close(parts, whole, rtol=1e-6, atol=1e-6)
    assert [voxels for _, _, voxels in products.parts] == [128, 64, 32, 32, 32, 32]
    assert "8 slices at once, going on with 4" in caplog.text


def test_a_slice_for_which_memory_does_not_suffice_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(torch.OutOfMemoryError):
        sums_of(Products(most=15), (), 0, monkeypatch)
