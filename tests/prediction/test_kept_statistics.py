"""Statistics that were kept, or are made anew if there was no room, give the same result."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from activelabel.prediction.kept_statistics import KeptStatistics
from activelabel.prediction.predictor import Predictor

BYTES = 4 * (3 + 2) * 14 * 11 * 9  # of the image in conftest.py, with three classes


class CountingPredictor(Predictor):
    """A predictor that records the number of repeats that each call adds."""

    def sample(self, image: Tensor, repeats: int, *rest: object) -> object:  # type: ignore[override]
        self.added = repeats
        return super().sample(image, repeats, *rest)  # type: ignore[arg-type]


@pytest.fixture
def predictor(make_network: Callable[..., nn.Module]) -> CountingPredictor:
    return CountingPredictor(make_network(), (8, 8, 8), 0.25, precision="float32")


def test_kept_statistics_that_are_continued_equal_those_of_one_run(predictor: CountingPredictor, image: Tensor) -> None:
    kept = KeptStatistics(BYTES)
    statistics = kept.sample("a", predictor, image, 2, seed=1)
    assert statistics.memory_bytes == BYTES
    kept.keep("a", 1.0, statistics)
    after_five = kept.sample("a", predictor, image, 5, seed=1)
    assert (predictor.added, after_five.repeats) == (3, 5)
    at_once = predictor.sample(image, 5, 1)
    torch.testing.assert_close(after_five.variance(), at_once.variance(), rtol=1e-4, atol=1e-6)


def test_without_room_the_statistics_of_the_smallest_scores_are_dropped(
    predictor: CountingPredictor, image: Tensor
) -> None:
    kept = KeptStatistics(2 * BYTES)
    for name, score in (("a", 3.0), ("b", 1.0), ("c", 2.0)):
        kept.keep(name, score, kept.sample(name, predictor, image, 2, seed=1))
    added = {}
    for name in "abc":
        assert kept.sample(name, predictor, image, 4, seed=1).repeats == 4
        added[name] = predictor.added
    assert added == {"a": 2, "b": 4, "c": 2}
    # Continuing statistics frees their room.
    for name in "ab":
        kept.keep(name, 0.0, kept.sample(name, predictor, image, 2, seed=1))
    assert kept.sample("a", predictor, image, 3, seed=1).repeats == 3
    assert predictor.added == 1


def test_where_one_volume_has_no_room_none_is_kept(predictor: CountingPredictor, image: Tensor) -> None:
    kept = KeptStatistics(BYTES - 1)
    kept.keep("a", 1.0, kept.sample("a", predictor, image, 2, seed=1))
    kept.sample("a", predictor, image, 3, seed=1)
    assert predictor.added == 3
