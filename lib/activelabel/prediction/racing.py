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


def race(
    ids: Sequence[Id], score: Callable[[Id, int, int], float | None], k: int, repeats: int
) -> dict[Id, RacedScore]:
    """Score those volumes with all `repeats` that can still be among the `k` with the largest scores.

    Args:
        ids: the volumes, all different.
        score: `score(id, first, last)` gives the score after the repeats 0 to `last` − 1, of which those before `first`
            were asked for earlier, in the same order: whoever keeps the statistics only adds the rest. None: the volume
            cannot be scored, and is out.
        k: how many are looked for, 1 or more.
        repeats: how many a volume has in the end, 1 or more.

    Returns:
        The latest score of each id that has one. 2k have all repeats, or as many as there are: only these are to be
        ranked with each other.

    Raises:
        ValueError: `k` or `repeats` is below 1, or a score is NaN (the text names its id).
    """
    scores: dict[Id, RacedScore] = {}
    racing, done = list(ids), 0
    for count, goal in plan_rounds(len(ids), k, repeats):
        racing = top_k({id: scores[id].value for id in racing}, count) if done else racing
        values = {id: score(id, done, goal) for id in racing}
        racing = [id for id in racing if values[id] is not None]
        scores |= {id: RacedScore(value, goal) for id, value in values.items() if value is not None}
        done = goal
    top_k({id: scores[id].value for id in racing}, k)  # refuses a NaN of the last round too
    return scores


def plan_rounds(count: int, k: int, repeats: int) -> list[tuple[int, int]]:
    """How many of `count` volumes are in each round of a race for the top `k`, and how many repeats they have after it.

    Raises:
        ValueError: `k` or `repeats` is below 1.
    """
    if k < 1 or repeats < 1:
        raise ValueError(f"k and repeats must be 1 or more, got {k} and {repeats}")
    finalists = _FINALISTS_PER_PLACE * k
    planned, goal = list[tuple[int, int]](), _FIRST_REPEATS
    while True:
        goal = repeats if count <= finalists else min(goal, repeats)
        planned.append((count, goal))
        if goal == repeats:
            return planned
        count, goal = max(count // 2, finalists), 2 * goal


def planned_passes(count: int, k: int, repeats: int) -> int:
    """How many repeats all volumes of a race have together: `count` · `repeats` without racing."""
    passes, done = 0, 0
    for racing, goal in plan_rounds(count, k, repeats):
        passes, done = passes + racing * (goal - done), goal
    return passes
