"""Scores of slices come back in the image's own order from a network that saw the image reversed and resampled."""

from pathlib import Path

import numpy as np
import pytest
import torch

from activelabel.acquisition.uncertainty import MonteCarloStatistics
from activelabel.data.preprocessing import prepare_image
from activelabel.data.volumes import Volume
from activelabel.prediction.image_scores import image_scores
from activelabel.recipes import PreprocessingSettings, RegionSettings


def uncertain_where_bright(tensor: torch.Tensor) -> MonteCarloStatistics:
    """Return one repeat in which the uncertainty (least confidence) of a voxel is the voxel's value."""
    statistics = MonteCarloStatistics()
    statistics.update(torch.stack([1 - tensor, tensor]))
    return statistics


def test_slice_scores_of_a_turned_image_are_in_its_own_order() -> None:
    array = np.zeros((2, 3, 4), dtype=np.float32)
    array[:, 1, :] = 0.1
    array[:, 2, 0] = 0.4
    affine = np.diag([1.0, -2.0, 1.0, 1.0])  # the second axis runs from front to back, and the network sees it reversed
    settings = PreprocessingSettings(intensity="window", window_hu=(0.0, 1.0))
    image = prepare_image(Volume(array, affine, Path("a.nii")), settings)
    scores = image_scores(
        uncertain_where_bright(image.tensor[0]), image, RegionSettings(), 1, ["least_confidence"], ["everything"]
    )
    total, mean = scores
    assert total.slices == pytest.approx((0.0, 0.8, 0.8))
    assert mean.slices == pytest.approx((0.0, 0.1, 0.1))
    assert total.value == pytest.approx(1.6)


def test_without_an_axis_there_are_no_slices() -> None:
    image = prepare_image(Volume(np.ones((2, 2, 2), np.float32), np.eye(4), Path("a.nii")), PreprocessingSettings())
    scores = image_scores(uncertain_where_bright(torch.zeros(2, 2, 2)), image, RegionSettings(), None)
    assert {score.slices for score in scores} == {None}
