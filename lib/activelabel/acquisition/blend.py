"""Our own strategy: it puts what the comparison of the others taught into one order (docs/results.md: the tuning).

Early models are most uncertain at the ends of a volume, where there is nothing; so uncertainty counts only as far as a
class is predicted. Random choices beat many others, so the noise stays. Neighbouring slices teach the same. But several
slices of one volume teach more, in as many steps, than one slice each of as many volumes, and the annotator opens that
volume once.
"""

from collections.abc import Iterator, Mapping, Sequence, Set

from activelabel.acquisition.power_noise import power_order
from activelabel.acquisition.selection import Id
from activelabel.acquisition.slice_selection import SliceId, by_volume

_HARDLY_ANYTHING = 0.1  # of the largest score of a volume


def balanced(by_class: Sequence[Mapping[Id, float]]) -> dict[Id, float]:
    """The sum over classes of each id's score, where the scores of a class are divided by their mean over all ids.

    A small structure then counts as much as a large one. A class without any score above 0 counts nothing.

    Args:
        by_class: for each foreground class, a score of 0 or more of each id, such as entropy x p_c; the same ids in
            all.
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
    """Every slice once, with its balanced score, volume by volume.

    Volumes are drawn with power noise by the sums of their slices. Each volume first gives the slices with the largest
    scores that are `min_distance` apart from each other and from the learnt slices: a few through everything that is
    predicted, as an annotator who interpolates would draw. Slices that are too near come at the end, and so do slices
    with less than a tenth of their volume's largest score, where hardly anything is predicted.

    Args:
        by_class: for each foreground class, the scores of all slices that can be asked for.
        learnt: slices that the model has learnt from.
        beta: of the noise, see `power_order`.
        min_distance: in slices, 1 or more.
        key: seeds the noise, together with the volume.
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
    """The slice itself, and the slices nearer to it than `min_distance`."""
    return range(index - min_distance + 1, index + min_distance)
