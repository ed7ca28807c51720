"""Statistics of volumes that are still racing, kept from one round of a race to the next as far as memory allows."""

from torch import Tensor

from activelabel.acquisition.uncertainty import MonteCarloStatistics
from activelabel.prediction.predictor import Predictor

SHELF_BYTES = 2 << 30


class StatisticsShelf:
    """Takes volumes on to more repeats: from where they were or, if they did not fit here, from the first repeat.

    Statistics take four bytes a voxel for each class and two more: 1.2 MB for a hippocampus volume with three classes,
    of which 200 fit; 330 MB for a CT of 320×320×160, of which a pool of 1000 would take 330 GB after the first round,
    more than there is memory, and than anybody's disk should give up for a scoring. So what fits is kept, the largest
    scores first, as only the upper half goes on. What does not fit is sampled anew, to the same statistics: masks
    depend on seed, repeat and window alone. With 20 repeats, racing 200 volumes for the top 20 takes 1280 passes if all
    are kept, 2000 if none is, and 4000 without a race.
    """

    def __init__(self, limit_bytes: int = SHELF_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._held_bytes = 0
        self._kept: dict[str, tuple[float, MonteCarloStatistics]] = {}

    def sample(self, name: str, predictor: Predictor, image: Tensor, repeats: int, seed: int) -> MonteCarloStatistics:
        """Statistics of the repeats 0 to `repeats` − 1 of an image `(1, W, H, D)`, taken off the shelf.

        Raises what `Predictor.sample` does.
        """
        statistics = self._take(name) if name in self._kept else MonteCarloStatistics()
        return predictor.sample(image, repeats - statistics.repeats, seed, statistics)

    def keep(self, name: str, score: float, statistics: MonteCarloStatistics) -> None:
        """Put the statistics of a volume on the shelf; if it is full, those with the smallest scores go."""
        self._kept[name] = (score, statistics)
        self._held_bytes += statistics.memory_bytes
        while self._held_bytes > self._limit_bytes:
            self._take(min(self._kept, key=lambda kept: self._kept[kept][0]))

    def _take(self, name: str) -> MonteCarloStatistics:
        _, statistics = self._kept.pop(name)
        self._held_bytes -= statistics.memory_bytes
        return statistics
