"""Statistics resumed from the shelf, or begun anew if there was no room, give the same result."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from activelabel.prediction.predictor import Predictor
from activelabel.prediction.shelf import StatisticsShelf

BYTES = 4 * (3 + 2) * 14 * 11 * 9  # of the image in conftest.py, with three classes


class CountingPredictor(Predictor):
    """A predictor that records the number of repeats that each call adds."""

    def sample(self, image: Tensor, repeats: int, *rest: object) -> object:  # type: ignore[override]
        self.added = repeats
        return super().sample(image, repeats, *rest)  # type: ignore[arg-type]


@pytest.fixture
def predictor(make_network: Callable[..., nn.Module]) -> CountingPredictor:
    return CountingPredictor(make_network(), (8, 8, 8), 0.25, precision="float32")


def test_statistics_resumed_from_the_shelf_equal_those_of_one_run(predictor: CountingPredictor, image: Tensor) -> None:
    shelf = StatisticsShelf(BYTES)
    statistics = shelf.sample("a", predictor, image, 2, seed=1)
    assert statistics.memory_bytes == BYTES
    shelf.keep("a", 1.0, statistics)
    after_five = shelf.sample("a", predictor, image, 5, seed=1)
    assert (predictor.added, after_five.repeats) == (3, 5)
    at_once = predictor.sample(image, 5, 1)
    torch.testing.assert_close(after_five.variance(), at_once.variance(), rtol=1e-4, atol=1e-6)


def test_a_full_shelf_drops_the_statistics_of_the_smallest_scores(predictor: CountingPredictor, image: Tensor) -> None:
    shelf = StatisticsShelf(2 * BYTES)
    for name, score in (("a", 3.0), ("b", 1.0), ("c", 2.0)):
        shelf.keep(name, score, shelf.sample(name, predictor, image, 2, seed=1))
    added = {}
    for name in "abc":
        assert shelf.sample(name, predictor, image, 4, seed=1).repeats == 4
        added[name] = predictor.added
    assert added == {"a": 2, "b": 4, "c": 2}
    # Taking statistics off the shelf frees their room.
    for name in "ab":
        shelf.keep(name, 0.0, shelf.sample(name, predictor, image, 2, seed=1))
    assert shelf.sample("a", predictor, image, 3, seed=1).repeats == 3
    assert predictor.added == 1


def test_a_shelf_smaller_than_one_volume_keeps_none(predictor: CountingPredictor, image: Tensor) -> None:
    shelf = StatisticsShelf(BYTES - 1)
    shelf.keep("a", 1.0, shelf.sample("a", predictor, image, 2, seed=1))
    shelf.sample("a", predictor, image, 3, seed=1)
    assert predictor.added == 3
