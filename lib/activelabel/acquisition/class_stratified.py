"""Rounds that ask for every class: classes take turns for most places, the others are for any class (ClaSP PE)."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

from activelabel.acquisition.power_noise import uniform_noise
from activelabel.acquisition.selection import Id

CLASS_SHARE = 0.66
"""The share of a round's places that all classes have together."""


def class_stratified(
    by_class: Mapping[str, Sequence[Id]], plain: Sequence[Id], size: int, key: str
) -> Iterator[tuple[Id, str | None]]:
    """Every id once, in rounds of `size`, each with the class whose place it takes; None for a place of no class.

    A round has 66 % of its places, rounded, for the classes, equally many each; places left over go to random classes,
    drawn anew each round. The other places are for `plain`. Both kinds take turns within a round, so that a round that
    stops early has some of each. An id that is taken already leaves its place to the next of the same order.

    Args:
        by_class: for each foreground class, all ids, best first.
        plain: the same ids, best first.
        size: places of a round, 1 or more.
        key: together with the round, decides which classes get one place more.
    """
    orders: dict[str | None, Iterator[Id]] = {name: iter(order) for name, order in by_class.items()}
    orders[None] = iter(plain)
    taken = set[Id]()
    number = 0
    while len(taken) < len(plain):
        for name in _places(sorted(by_class), size, f"{key}:{number}"):
            id = next((id for id in orders[name] if id not in taken), None)
            if id is not None:
                taken.add(id)
                yield id, name
        number += 1


def _places(classes: Sequence[str], size: int, key: str) -> list[str | None]:
    """The class of each place of a round, None for `plain`; the places of classes are spread evenly."""
    for_classes = round(CLASS_SHARE * size) if classes else 0
    in_turn = itertools.cycle(sorted(classes, key=lambda name: uniform_noise(name, key)))
    due = [-(-for_classes * place // size) for place in range(size + 1)]
    return [next(in_turn) if due[place] > due[place - 1] else None for place in range(1, size + 1)]
