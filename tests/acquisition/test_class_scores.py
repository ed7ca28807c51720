"""Foreground and entropy by class, worked out by hand and in numpy."""

import math

import numpy as np
import pytest
import torch

from activelabel.acquisition.class_scores import class_scores
from activelabel.acquisition.uncertainty import MonteCarloStatistics


def of(*classes: list[list[float]]) -> MonteCarloStatistics:
    statistics = MonteCarloStatistics()
    statistics.update(torch.tensor(classes))
    return statistics


def test_two_voxels_a_slice_by_hand() -> None:
    """The entropy is ln 2 at p = .5 and 0 where certain; half of it counts for the class. At .5 none is predicted."""
    foreground, entropy = class_scores(of([[0.5, 0.0], [0.0, 1.0]], [[0.5, 1.0], [1.0, 0.0]]), slice_axis=0)
    assert (foreground.measure, foreground.region, foreground.aggregation) == ("foreground", "everything", "total")
    assert (foreground.value, foreground.slices) == (2.0, (1.0, 1.0))
    assert (entropy.measure, entropy.region, entropy.aggregation) == ("entropy", "class_1", "total")
    assert entropy.value == pytest.approx(math.log(2) / 2)
    assert entropy.slices == pytest.approx((math.log(2) / 2, 0.0))


def test_each_class_against_numpy_along_the_other_axis() -> None:
    probabilities = torch.rand((4, 5, 6, 7), generator=torch.Generator().manual_seed(0)).softmax(dim=0)
    statistics = MonteCarloStatistics()
    statistics.update(probabilities)
    p = probabilities.numpy().astype(np.float64)
    entropy = -(p * np.log(p)).sum(axis=0)
    scores = class_scores(statistics, slice_axis=2)
    assert [score.region for score in scores] == ["everything", "class_1", "class_2", "class_3"]
    for score, map in zip(scores, [p[1:].max(axis=0) > p[0], *(entropy * p[1:])], strict=True):
        assert score.value == pytest.approx(map.sum(), rel=1e-5)
        assert score.slices == pytest.approx(map.sum(axis=(0, 1)), rel=1e-5)
    assert {score.slices for score in class_scores(statistics)} == {None}
