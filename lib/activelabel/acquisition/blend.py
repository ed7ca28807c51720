"""Ours: what the comparison of the others taught, in one order. See docs/results.md for what it was tuned on.

Early models doubt most where nothing is, at the ends of a volume, so doubt counts only as far as a class is predicted.
What is drawn at random beats much that is not, so noise stays. Neighbours tell the same, but several slices of a volume
teach more, in as many steps, than one each of as many volumes, and are opened once.
"""

from collections.abc import Iterator, Mapping, Sequence, Set

from activelabel.acquisition.power_noise import power_order
from activelabel.acquisition.selection import Id
from activelabel.acquisition.slice_selection import SliceId, by_volume

_HARDLY_ANYTHING = 0.1  # of the largest score of a volume


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
    by_class: Sequence[Mapping[SliceId, float]], learnt: Set[SliceId], beta: float, min_distance: int, key: str
) -> Iterator[tuple[SliceId, float]]:
    """Every slice once with its balanced score, volume by volume.

    Volumes are drawn with power noise by the sums of their slices. Of each, the slices of the largest scores come that
    are `min_distance` apart from each other and from what was learnt: a few through all that is predicted, as whoever
    interpolates would draw. What has less than a tenth of its volume's largest score, where hardly anything is
    predicted, and what is too near comes at the end.

    Args:
        by_class: of each foreground class the scores of all slices that can be asked for.
        learnt: slices that the model has learnt from.
        beta: of the noise, see `power_order`.
        min_distance: in slices, 1 or more.
        key: what the noise depends on beside the volume.
    """
    profiles: dict[str, dict[int, float]] = {}
    for (volume, index), score in balanced(by_class).items():
        profiles.setdefault(volume, {})[index] = score
    sums = {volume: sum(profile.values()) for volume, profile in profiles.items()}
    known, rest = by_volume(learnt), list[tuple[SliceId, float]]()
    for volume in power_order(sums, beta, key):
        near = {place for index in known.get(volume, ()) for place in _around(index, min_distance)}
        least = _HARDLY_ANYTHING * max(profiles[volume].values())
        for index, score in sorted(profiles[volume].items(), key=lambda item: (-item[1], item[0])):
            if index in near or score < least:
                rest.append(((volume, index), score))
            else:
                near.update(_around(index, min_distance))
                yield (volume, index), score
    yield from rest


def _around(index: int, min_distance: int) -> range:
    """The slice itself, and those that are nearer to it than that."""
    return range(index - min_distance + 1, index + min_distance)
