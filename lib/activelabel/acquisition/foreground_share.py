"""Foreground-aware random: at random, but mostly where foreground is expected (nnActive's baseline for 3D)."""

from collections.abc import Iterator, Mapping

from activelabel.acquisition.power_noise import power_order, uniform_noise
from activelabel.acquisition.selection import Id

FOREGROUND_SHARE = 0.66
"""The larger of the two shares of nnActive's baselines, and the harder one to beat."""


def foreground_aware(foreground: Mapping[Id, float], key: str) -> Iterator[tuple[Id, bool]]:
    """Every id once in a random order, with True for each that was drawn for its foreground.

    With a probability of 66 %, a place is for an id with foreground, drawn in proportion to its foreground; else it is
    for any id, all equally likely. nnActive does this with patches, and takes the foreground from the ground truth. An
    id that is taken already leaves its place to the next of the same order. When no id with foreground is left, all
    places are for any id.

    Args:
        foreground: 0 or more for each id; give 1 to all ids with foreground to make them equally likely.
        key: seeds the order, together with the ids.

    Raises:
        ValueError: as `power_order`.
    """
    with_foreground = iter(power_order({id: size for id, size in foreground.items() if size > 0}, 1.0, f"{key}:fg"))
    of_all = iter(power_order(dict.fromkeys(foreground, 1.0), 1.0, f"{key}:all"))
    taken = set[Id]()
    for place in range(len(foreground)):
        id = None
        if for_foreground := uniform_noise(place, key) < FOREGROUND_SHARE:
            id = next((id for id in with_foreground if id not in taken), None)
        if id is None:
            for_foreground, id = False, next(id for id in of_all if id not in taken)
        taken.add(id)
        yield id, for_foreground
