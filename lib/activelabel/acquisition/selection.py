"""Selection of the next queries by their scores."""

import hashlib
import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import Literal, Protocol, TypeVar, cast

import numpy as np
from typing_extensions import Self

from activelabel.analysis.name_hashes import first_bytes


class Identifier(Hashable, Protocol):
    """The id of an image or a slice: hashable, and ordered, so that ties are settled the same way each time."""

    def __lt__(self, other: Self, /) -> bool: ...


Id = TypeVar("Id", bound=Identifier)
Source = Literal["target", "boundary"]


def top_k(scores: Mapping[Id, float], k: int) -> list[Id]:
    """Ids of the `k` largest scores, best first, ties by id; all of them where there are fewer than `k`.

    Raises:
        ValueError: a score is NaN (the text names its id), or `k` is negative.
    """
    return _ranked(scores)[: _checked_count(k)]


def selective_union(target: Mapping[Id, float], boundary: Mapping[Id, float], k: int) -> list[Id]:
    """Ids that the target and the boundary scores choose together (ma2024, eq. 5).

    The top k/2 of each, an odd one from `target`. An id in both is taken once, and its place is refilled with the next
    best of the two lists in turn, target first. Always min(k, n) distinct ids, n the number of ids with any score.
    Raises what `top_k` does.
    """
    return [id for id, _ in selective_sources(target, boundary, k)]


def selective_sources(target: Mapping[Id, float], boundary: Mapping[Id, float], k: int) -> list[tuple[Id, Source]]:
    """The ids of `selective_union`, each with the list that it was taken from."""
    from_target, from_boundary = iter(_ranked(target)), iter(_ranked(boundary))
    half = _checked_count(k) // 2
    taken: dict[Id, Source] = dict.fromkeys(islice(from_target, k - half), "target")
    for id in islice(from_boundary, half):
        taken.setdefault(id, "boundary")
    in_turn: list[tuple[Iterator[Id], Source]] = [(from_target, "target"), (from_boundary, "boundary")]
    while len(taken) < k and in_turn:
        ids, source = in_turn.pop(0)
        next_best = next((id for id in ids if id not in taken), None)
        if next_best is not None:
            taken[next_best] = source
            in_turn.append((ids, source))
    return list(taken.items())


def shuffled(ids: Iterable[str], seed: int) -> list[str]:
    """The ids in a random order that depends on `seed` and the ids alone, neither on how many there are nor on time.

    The order of the other ids stays the same when an id is removed. A server that gives one id at a time, also across
    restarts, therefore gives the same order as one that gives all at once.
    """
    return sorted(ids, key=lambda id: (random_place(id, seed), id))


def random_place(id: str, seed: int) -> int:
    """The place of an id in the order of `shuffled`, -2^63 to 2^63 - 1: the first 8 bytes of a hash, less 2^63."""
    digest = hashlib.sha256(f"{seed}:{id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") - 2**63


def random_places(ids: Iterable[str], seed: int) -> list[int]:
    """The `random_place` of each of many ids."""
    unsigned = first_bytes(f"{seed}:{id}" for id in ids)
    return cast("list[int]", (unsigned ^ np.uint64(2**63)).view(np.int64).tolist())


def slice_peaks(profile: Sequence[float], min_distance: int = 5) -> list[int]:
    """Indices, ascending, of the inner local maxima of a slice profile (chlebus2022, II.E and fig. 2).

    As `scipy.signal.find_peaks(profile, distance=min_distance)`: a maximum is a slice, or a plateau of equal slices,
    with a lower one on either side. The two ends are therefore never maxima, nor is a plateau that reaches an end: half
    of what a network sees there is a reflection, and the uncertainty that comes from it says nothing about the slice. A
    plateau stands for its middle slice (the left one of two). Of maxima closer than `min_distance` slices the higher
    stays, of equal ones the last. A constant, rising or falling profile has none. A tensor or array is passed as
    `.tolist()`.

    Raises:
        ValueError: a value is NaN, or `min_distance` is below 1.
    """
    if min_distance < 1:
        raise ValueError(f"min_distance must be 1 slice or more, got {min_distance}")
    for index, value in enumerate(profile):
        if math.isnan(value):
            raise ValueError(f"the profile is NaN at slice {index}: its maxima are not defined")
    kept: list[int] = []
    for peak in sorted(_inner_maxima(profile), key=lambda index: (profile[index], index), reverse=True):
        if all(abs(peak - other) >= min_distance for other in kept):
            kept.append(peak)
    return sorted(kept)


def _inner_maxima(profile: Sequence[float]) -> list[int]:
    plateaus = [(value, [index for index, _ in run]) for value, run in groupby(enumerate(profile), key=lambda p: p[1])]
    return [
        slices[(len(slices) - 1) // 2]
        for (left, _), (value, slices), (right, _) in zip(plateaus, plateaus[1:], plateaus[2:], strict=False)
        if left < value > right
    ]


def _ranked(scores: Mapping[Id, float]) -> list[Id]:
    for id, score in scores.items():
        if math.isnan(score):
            raise ValueError(f"the score of {id!r} is NaN: it cannot be ranked")
    return sorted(sorted(scores), key=lambda id: -scores[id])


def _checked_count(k: int) -> int:
    if k < 0:
        raise ValueError(f"k must be 0 or more, got {k}")
    return k
