"""Finding the k most uncertain volumes without giving every volume all repeats.

Successive halving (Jamieson and Talwalkar 2016, "Non-stochastic best arm identification"): a score settles as repeats
are added, so after a few the lower half can be left out, and the rest goes on with twice as many, and so on. Scores
are only compared after equal numbers of repeats: with few, variance and entropy are biased, but alike for all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from activelabel.acquisition.selection import Id, top_k

# Variance needs two repeats to differ from 0.
_FIRST_REPEATS = 2
# So many times k stay until the end: scores around the k-th place are the closest.
_FINALISTS_PER_PLACE = 2


@dataclass(frozen=True)
class RacedScore:
    """A volume's score, and after how many repeats: all of them for those that stayed in the race."""

    value: float
    repeats: int


def race(ids: Sequence[Id], score: Callable[[Id, int, int], float], k: int, repeats: int) -> dict[Id, RacedScore]:
    """Score those volumes with all `repeats` that can still be among the `k` with the largest scores.

    Args:
        ids: the volumes, all different.
        score: `score(id, first, last)` gives the score after the repeats 0 to `last` − 1, of which those before `first`
            were asked for earlier, in the same order: whoever keeps the statistics only adds the rest.
        k: how many are looked for, 1 or more.
        repeats: how many a volume has in the end, 1 or more.

    Returns:
        The latest score of each id. At least min(k, n) have all repeats: only these are to be ranked with each other.

    Raises:
        ValueError: `k` or `repeats` is below 1, or a score is NaN (the text names its id).
    """
    if k < 1 or repeats < 1:
        raise ValueError(f"k and repeats must be 1 or more, got {k} and {repeats}")
    finalists = _FINALISTS_PER_PLACE * k
    scores: dict[Id, RacedScore] = {}
    racing, done, goal = list(ids), 0, min(_FIRST_REPEATS, repeats)
    while racing and done < repeats:
        for id in racing:
            scores[id] = RacedScore(score(id, done, goal), goal)
        racing = top_k({id: scores[id].value for id in racing}, max(len(racing) // 2, finalists))
        done, goal = goal, repeats if len(racing) <= finalists else min(2 * goal, repeats)
    return scores
