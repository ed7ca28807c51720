"""A race for the k most uncertain volumes, in which not every volume gets all repeats.

Successive halving (Jamieson and Talwalkar 2016, "Non-stochastic best arm identification"): a score settles as repeats
are added, so after a few repeats the lower half drops out, the rest gets twice as many, and so on. Scores are only
compared after equal numbers of repeats: with few repeats variance and entropy are biased, but equally for all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from activelabel.acquisition.selection import Id, top_k

# The variance of a single repeat is 0.
_FIRST_REPEATS = 2
# This many times k volumes stay until the end, because scores around the k-th place are the closest.
_FINALISTS_PER_PLACE = 2


@dataclass(frozen=True)
class RacedScore:
    """A volume's score and its number of repeats: all repeats for volumes that stayed in the race."""

    value: float
    repeats: int


def race(
    ids: Sequence[Id],
    score: Callable[[Id, int, int], float | None],
    k: int,
    repeats: int,
    expect: Callable[[Sequence[Id], int], None] = lambda ids, last: None,
) -> dict[Id, RacedScore]:
    """Score with all `repeats` the volumes that can still be among the `k` with the largest scores.

    Args:
        ids: the volumes, all different.
        score: `score(id, first, last)` gives the score after the repeats 0 to `last` − 1. Earlier calls have asked for
            those before `first`, in the same order, so a caller that keeps the statistics only adds the rest. None: the
            volume cannot be scored and drops out.
        k: the number of volumes to find, 1 or more.
        repeats: the full number of repeats, 1 or more.
        expect: called before each round with the volumes that are scored in it, in order, and their repeats after it.

    Returns:
        The latest score of each id that has one. 2k volumes, or all if there are fewer, have all repeats: rank only
        these with each other.

    Raises:
        ValueError: `k` or `repeats` is below 1, or a score is NaN (the text names its id).
    """
    scores: dict[Id, RacedScore] = {}
    racing, done = list(ids), 0
    for count, goal in plan_rounds(len(ids), k, repeats):
        racing = top_k({id: scores[id].value for id in racing}, count) if done else racing
        expect(racing, goal)
        values = {id: score(id, done, goal) for id in racing}
        racing = [id for id in racing if values[id] is not None]
        scores |= {id: RacedScore(value, goal) for id, value in values.items() if value is not None}
        done = goal
    top_k({id: scores[id].value for id in racing}, k)  # also refuses a NaN in the last round
    return scores


def plan_rounds(count: int, k: int, repeats: int) -> list[tuple[int, int]]:
    """For each round of a race for the top `k`, how many of `count` volumes are in it and their repeats after it.

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
    """The number of repeats of all volumes of a race together; without racing it is `count` · `repeats`."""
    passes, done = 0, 0
    for racing, goal in plan_rounds(count, k, repeats):
        passes, done = passes + racing * (goal - done), goal
    return passes
