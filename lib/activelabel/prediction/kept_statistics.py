"""A store for the statistics of racing volumes, from one round to the next, as far as memory allows."""

from torch import Tensor

from activelabel.acquisition.uncertainty import MonteCarloStatistics
from activelabel.prediction.predictor import Predictor

MOST_BYTES = 2 << 30


class KeptStatistics:
    """Keeps statistics between rounds, so that a volume continues from its last repeat; else it starts at the first.

    Statistics of C classes take 4 · (C + 2) bytes a voxel: 1.2 MB for a hippocampus volume with three classes, and 330
    MB for a CT of 320×320×160. 200 hippocampus volumes fit, but a pool of 1000 CTs would take 330 GB after the first
    round, too much for memory and disk. The store therefore keeps the statistics with the largest scores, as only the
    upper half goes on. Others are sampled again, with the same result: masks depend on seed, repeat and window alone.
    With 20 repeats, racing 200 volumes for the top 20 takes 1280 passes if all are kept, 2000 if none are, and 4000
    without a race.
    """

    def __init__(self, limit_bytes: int = MOST_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._held_bytes = 0
        self._kept: dict[str, tuple[float, MonteCarloStatistics]] = {}

    def sample(self, name: str, predictor: Predictor, image: Tensor, repeats: int, seed: int) -> MonteCarloStatistics:
        """Statistics of the repeats 0 to `repeats` − 1 of an image `(1, W, H, D)`; kept ones are continued and removed.

        Raises what `Predictor.sample` does.
        """
        statistics = self._take(name) if name in self._kept else predictor.new_statistics()
        return predictor.sample(image, repeats - statistics.repeats, seed, statistics)

    def keep(self, name: str, score: float, statistics: MonteCarloStatistics) -> None:
        """Keep the statistics of a volume; beyond the limit, those with the smallest scores are dropped."""
        self._kept[name] = (score, statistics)
        self._held_bytes += statistics.memory_bytes
        while self._held_bytes > self._limit_bytes:
            self._take(min(self._kept, key=lambda kept: self._kept[kept][0]))

    def _take(self, name: str) -> MonteCarloStatistics:
        _, statistics = self._kept.pop(name)
        self._held_bytes -= statistics.memory_bytes
        return statistics
