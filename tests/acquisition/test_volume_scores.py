"""All scores of a volume against measure, region and aggregation called one by one in numpy."""

import numpy as np
import pytest
import torch

from activelabel.acquisition.class_scores import class_scores
from activelabel.acquisition.uncertainty import MEASURES, MonteCarloStatistics
from activelabel.acquisition.volume_scores import all_scores, volume_scores
from activelabel.recipes import RegionSettings

SETTINGS = RegionSettings(target_threshold=0.45, boundary_width=0.1, dilation_kernel=1, object_kernel=1)


@pytest.fixture
def statistics() -> MonteCarloStatistics:
    statistics = MonteCarloStatistics()
    for _ in range(2):
        # Four voxels in two slices along axis 1; foreground 0.1, 0.5, 0.45, 0.9.
        foreground = torch.tensor([[0.1, 0.5], [0.45, 0.9]])
        statistics.update(torch.stack([1 - foreground, foreground]))
    return statistics


def test_least_confidence_by_hand(statistics: MonteCarloStatistics) -> None:
    scores = volume_scores(statistics, SETTINGS, slice_axis=1, measures=["least_confidence"])
    values = {(s.region, s.aggregation, None): s.value for s in scores}
    values |= {(s.region, s.aggregation, index): value for s in scores for index, value in enumerate(s.slices or ())}
    # Map: 0.1, 0.5 / 0.45, 0.1.
    assert values == pytest.approx(
        {
            ("everything", "total", None): 1.15,
            ("everything", "mean", None): 1.15 / 4,
            ("everything", "total", 0): 0.55,
            ("everything", "total", 1): 0.6,
            ("everything", "mean", 0): 0.275,
            ("everything", "mean", 1): 0.3,
            ("target", "total", None): 0.6,
            ("target", "mean", None): 0.3,
            ("target", "total", 0): 0.0,
            ("target", "total", 1): 0.6,
            ("target", "mean", 0): 0.0,
            ("target", "mean", 1): 0.3,
            ("boundary", "total", None): 0.95,
            ("boundary", "mean", None): 0.475,
            ("boundary", "total", 0): 0.45,
            ("boundary", "total", 1): 0.5,
            ("boundary", "mean", 0): 0.45,
            ("boundary", "mean", 1): 0.5,
            ("dilated_foreground", "total", None): 0.1,
            ("dilated_foreground", "mean", None): 0.1,
            ("dilated_foreground", "total", 0): 0.0,
            ("dilated_foreground", "total", 1): 0.1,
            ("dilated_foreground", "mean", 0): 0.0,
            ("dilated_foreground", "mean", 1): 0.1,
            **{
                ("object", aggregation, index): value
                for aggregation in ("total", "mean")
                for index, value in ((None, 0.1), (0, 0.0), (1, 0.1))
            },
        },
        abs=1e-6,
    )


def test_every_measure_and_no_slices_by_default(statistics: MonteCarloStatistics) -> None:
    scores = volume_scores(statistics, SETTINGS)
    assert len(scores) == 5 * 5 * 2
    assert {score.slices for score in scores} == {None}
    for name, measure in MEASURES.items():
        expected = float(np.sum(measure(statistics).numpy(), dtype=np.float64))
        (score,) = (s for s in scores if (s.measure, s.region, s.aggregation) == (name, "everything", "total"))
        assert score.value == pytest.approx(expected, rel=1e-6)


def test_a_single_pass_has_the_scores_of_three_measures() -> None:
    foreground = torch.tensor([[0.1, 0.5], [0.45, 0.9]])
    single = MonteCarloStatistics.of_single_pass(torch.stack([1 - foreground, foreground]))
    scores = volume_scores(single, SETTINGS)
    assert {score.measure for score in scores} == {"entropy", "least_confidence", "margin"}
    (total,) = (s for s in scores if (s.measure, s.region, s.aggregation) == ("margin", "everything", "total"))
    assert total.value == pytest.approx(0.2 + 1.0 + 0.9 + 0.2)


@pytest.mark.parametrize("axis", [None, 0, 1, 2])
def test_all_scores_are_those_of_regions_and_then_those_of_classes(axis: int | None) -> None:
    statistics = MonteCarloStatistics()
    statistics.update_all(torch.rand((3, 4, 6, 5, 7), generator=torch.Generator().manual_seed(0)).softmax(dim=1))
    expected = [*volume_scores(statistics, SETTINGS, axis), *class_scores(statistics, axis)]
    found = all_scores(statistics, SETTINGS, axis)
    assert [score.kind for score in found] == [score.kind for score in expected]
    for mine, other in zip(found, expected, strict=True):
        assert mine.value == pytest.approx(other.value, rel=1e-6)
        assert (mine.slices is None) == (axis is None)
        assert mine.slices == (None if other.slices is None else pytest.approx(other.slices, rel=1e-5))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_of_a_volume_of_many_parts_against_numpy(axis: int) -> None:
    """A volume that is summed part by part along its first axis."""
    p = torch.rand((3, 9, 200, 160), generator=torch.Generator().manual_seed(0)).softmax(dim=0)
    statistics = MonteCarloStatistics()
    statistics.update(p)
    scores = volume_scores(statistics, SETTINGS, axis, ["entropy"], ["everything", "target"])
    map = -(p.double() * p.double().log()).sum(dim=0).numpy()
    inside = (p[1:].amax(dim=0) > SETTINGS.target_threshold).numpy()
    others = tuple(other for other in range(3) if other != axis)
    for score, expected in zip(scores[::2], (map, map * inside), strict=True):
        np.testing.assert_allclose(score.slices, expected.sum(axis=others), rtol=1e-5)
