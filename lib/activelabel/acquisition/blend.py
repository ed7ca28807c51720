"""Ours: what the comparison of the others taught, in one order. See docs/results.md for what it was tuned on.

Early models doubt most where nothing is, at the ends of a volume, so doubt counts only as far as a class is predicted;
what is drawn at random from there already beats most others, so noise stays; and neighbours tell the same.
"""

from collections.abc import Iterator, Mapping, Sequence, Set

from activelabel.acquisition.power_noise import power_order
from activelabel.acquisition.selection import Id
from activelabel.acquisition.slice_selection import SliceId


def balanced(by_class: Sequence[Mapping[Id, float]]) -> dict[Id, float]:
    """Of each id the sum over classes of its score, each class divided by its mean over all ids.

    So that a small structure counts as much as a large one. A class that has no score anywhere counts nothing.

    Args:
        by_class: of each foreground class the same ids with scores of 0 or more, such as entropy x p_c.
    """
    sums = dict.fromkeys(by_class[0], 0.0)
    for scores in by_class:
        total = sum(scores.values())
        if total > 0:
            for id, score in scores.items():
                sums[id] += score * len(scores) / total
    return sums


def blend_slices(
    by_class: Sequence[Mapping[SliceId, float]],
    learnt: Set[SliceId],
    size: int,
    beta: float,
    min_distance: int,
    key: str,
) -> Iterator[tuple[SliceId, float]]:
    """Every slice once with its balanced score, in rounds of `size`.

    Drawn with power noise, but of each volume one slice a round at most, and none nearer than `min_distance` slices to
    one that was learnt or taken. Where that leaves too few, several of a volume are taken, and at last neighbours too.

    Args:
        by_class: of each foreground class the scores of all slices that can be asked for.
        learnt: slices that the model has learnt from.
        size: of a round.
        beta: of the noise, see `power_order`.
        min_distance: in slices, 1 or more.
        key: what the noise depends on beside the slice.
    """
    scores = balanced(by_class)
    left = power_order(scores, beta, key)
    near = {place for slice_ in learnt for place in _around(slice_, min_distance)}
    while left:
        chosen: dict[SliceId, None] = {}
        for one_a_volume, apart in ((True, True), (False, True), (False, False)):
            volumes = {volume for volume, _ in chosen}
            for slice_ in left:
                if len(chosen) == size:
                    break
                if slice_ in chosen or (one_a_volume and slice_[0] in volumes) or (apart and slice_ in near):
                    continue
                chosen[slice_] = None
                volumes.add(slice_[0])
                near.update(_around(slice_, min_distance))
        yield from ((slice_, scores[slice_]) for slice_ in chosen)
        left = [slice_ for slice_ in left if slice_ not in chosen]


def _around(slice_: SliceId, min_distance: int) -> Iterator[SliceId]:
    """The slice itself, and those of its volume that are nearer than that."""
    volume, index = slice_
    return ((volume, place) for place in range(index - min_distance + 1, index + min_distance))
