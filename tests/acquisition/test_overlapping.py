"""Uncertainty about structures that overlap: the measures of two classes for each, by hand, streamed or not."""

import math

import pytest
import torch
from torch import Tensor

from activelabel.acquisition import overlapping, uncertainty
from activelabel.acquisition.regions import REGIONS, region_of
from activelabel.acquisition.uncertainty import MEASURES, MonteCarloStatistics
from activelabel.acquisition.volume_scores import volume_scores
from activelabel.recipes import RegionSettings


def drawn(repeats: int = 4, structures: int = 3) -> Tensor:
    """Probabilities (R, N, 5, 4) of structures that do not add up to 1."""
    return torch.rand((repeats, structures, 5, 4), generator=torch.Generator().manual_seed(7))


def streamed(samples: Tensor) -> MonteCarloStatistics:
    statistics = MonteCarloStatistics(overlapping=True)
    for probabilities in samples:
        statistics.update(overlapping.with_background(probabilities))
    return statistics


@pytest.mark.parametrize("measure", MEASURES)
def test_each_measure_is_the_mean_over_structures_of_that_of_two_classes(measure: str) -> None:
    samples = drawn()
    two_classes = torch.stack([1 - samples, samples], dim=1)  # (R, 2, N, 5, 4)
    expected = getattr(uncertainty, measure)(two_classes).mean(dim=0)
    torch.testing.assert_close(MEASURES[measure](streamed(samples)), expected, atol=1e-6, rtol=0)


def test_a_voxel_by_hand() -> None:
    """A liver that is certain, and a tumour that is a toss-up, within it."""
    voxel = torch.tensor([1.0, 0.5]).view(2, 1)
    assert overlapping.entropy(voxel).item() == pytest.approx(math.log(2) / 2)
    assert overlapping.least_confidence(voxel).item() == pytest.approx(0.25)
    assert overlapping.margin(voxel).item() == pytest.approx(0.5)


def test_a_voxel_that_is_certainly_in_both_structures_is_at_no_boundary() -> None:
    """Two large probabilities side by side are no toss-up, as they would be for classes that exclude each other."""
    statistics = streamed(torch.tensor([[[0.99, 0.99, 0.55, 0.02], [0.98, 0.03, 0.02, 0.01]]]))
    settings = RegionSettings(boundary_width=0.1)
    assert region_of(statistics, "boundary", settings).tolist() == [False, False, True, False]
    assert statistics.entropy()[0] < 0.1


def test_the_background_is_what_the_most_probable_structure_leaves() -> None:
    samples = drawn()
    statistics = streamed(samples)
    torch.testing.assert_close(statistics.mean[1:], samples.mean(dim=0))
    torch.testing.assert_close(statistics.mean[0], 1 - samples.mean(dim=0).amax(dim=0))
    single = MonteCarloStatistics.of_single_pass(overlapping.with_background(samples[0]), overlapping=True)
    torch.testing.assert_close(single.entropy(), overlapping.entropy(samples[0]))


def test_all_scores_of_a_volume_are_finite() -> None:
    scores = volume_scores(streamed(drawn()[..., None]), RegionSettings(), slice_axis=0)
    assert len(scores) == len(MEASURES) * len(REGIONS) * 2
    assert all(math.isfinite(score.value) for score in scores)
