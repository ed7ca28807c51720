"""The order in which slices of volumes are asked for, and groups of the slices of one volume."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np

from activelabel.acquisition.selection import shuffled, slice_peaks

Item = TypeVar("Item")
SliceId = tuple[str, int]
"""A volume, and the index of one of its slices."""


def peaks_first(profiles: Mapping[str, Sequence[float]], min_distance: int) -> list[tuple[SliceId, float]]:
    """Every slice with its score: first the peaks of all volumes, largest first, then the rest.

    The first N are the N largest inner local maxima over all volumes (chlebus2022, II.E). Three groups follow for use
    after the peaks, each with the largest score first: inner slices at least `min_distance` from the peaks, from each
    other and from both ends; then the other inner slices; then the ends. Ties by volume and index.

    Args:
        profiles: for each volume, the scores of its slices, in their order.
        min_distance: the least distance between two peaks of a volume, in slices.

    Raises:
        ValueError: a score is NaN, or `min_distance` is below 1.
    """
    groups: tuple[list[tuple[SliceId, float]], ...] = ([], [], [], [])
    for volume, profile in profiles.items():
        for group, indices in zip(groups, _peaks_between_inner_ends(profile, min_distance), strict=True):
            group += [((volume, index), profile[index]) for index in indices]
    return [item for group in groups for item in sorted(group, key=_largest_first)]


def _peaks_between_inner_ends(profile: Sequence[float], min_distance: int) -> tuple[list[int], ...]:
    """The slices of one volume in four groups: peaks, other slices `min_distance` apart, other inner slices, ends."""
    peaks = slice_peaks(profile, min_distance)
    ends = sorted({0, len(profile) - 1}) if profile else []
    apart: list[int] = []
    near: list[int] = []
    inner = (index for index in range(1, len(profile) - 1) if index not in peaks)
    for index in sorted(inner, key=lambda index: (-profile[index], index)):
        far = all(abs(index - other) >= min_distance for other in (*peaks, *apart, *ends))
        (apart if far else near).append(index)
    return peaks, apart, near, ends


def slice_values(profiles: Mapping[str, Sequence[float]]) -> dict[SliceId, float]:
    """The score of each slice of each volume."""
    return {(volume, index): value for volume, profile in profiles.items() for index, value in enumerate(profile)}


def random_slices(counts: Mapping[str, int], seed: int) -> list[SliceId]:
    """All slices of all volumes in a random order, every slice equally likely to be the next.

    The order of the other slices stays the same when volumes are added or removed, as in `shuffled`.
    """
    keys = {volume: _generator(volume, seed).random(count) for volume, count in counts.items()}
    drawn = ((key, volume, index) for volume, row in keys.items() for index, key in enumerate(row.tolist()))
    return [(volume, index) for _, volume, index in sorted(drawn)]


def strided_slices(counts: Mapping[str, int], stride: int, seed: int) -> list[SliceId]:
    """Every `stride`-th slice of each volume, from the middle of the first stride on; the volumes in a random order."""
    return [
        (volume, index)
        for volume in shuffled(counts, seed)
        for index in range(min(stride, counts[volume]) // 2, counts[volume], stride)
    ]


def in_rounds(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in groups of `size`, in their order; the last may be smaller."""
    group: list[Item] = []
    for item in items:
        group.append(item)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def by_volume(slices: Iterable[SliceId]) -> dict[str, list[int]]:
    """The slices of each volume, ascending, so that it is opened once; volumes in the order of their first slice."""
    volumes: dict[str, list[int]] = {}
    for volume, index in slices:
        volumes.setdefault(volume, []).append(index)
    return {volume: sorted(indices) for volume, indices in volumes.items()}


def _largest_first(item: tuple[SliceId, float]) -> tuple[float, SliceId]:
    return -item[1], item[0]


def _generator(volume: str, seed: int) -> np.random.Generator:
    return np.random.default_rng(list(hashlib.sha256(f"{seed}:{volume}".encode()).digest()))
