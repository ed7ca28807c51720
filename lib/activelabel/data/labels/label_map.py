"""What the values of label files mean: structures, which may hold several values and overlap, and ignored values.

A label has one value a voxel. A structure is the set of voxels that have one of its values, so two structures that
share a value overlap there: a tumour's core of the values 1 and 4 within the whole tumour of 1 to 4.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.integer[Any]]
"""Values of label files, one a voxel."""
Mask = NDArray[np.bool_]

LARGEST_VALUE = 2**16 - 1
"""The largest that a label file of unsigned 16-bit numbers holds."""
MOST_SHOWN = 64
"""Up to this value each value has a name for clients, even one that is not used: 3D Slicer names values by position. A
longer list would hide the names that are used."""


@dataclass(frozen=True, eq=False)
class LabelMap(Sequence[str]):
    """The structures of a project, in their order, and the values of each in label files.

    As a sequence it is that of the structures' names, and it equals a sequence of names if structure i, counted from 1,
    has value i and nothing else is said of any value. Make one with `label_map_of` or from a text (`label_texts`).

    Attributes:
        names: the structures.
        values: for each structure its values, rising, 1 or more.
        ignored: values of voxels that nobody judges.
        background: values besides 0 that are background.
        class_order: for each structure the value with which it is painted, one structure over the other in the order of
            the structures (nnU-Net's `regions_class_order`); empty for an order of our own, see `painting`.
    """

    names: tuple[str, ...]
    values: tuple[tuple[int, ...], ...]
    ignored: tuple[int, ...] = ()
    background: tuple[int, ...] = ()
    class_order: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...

    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        return self.names[index]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, LabelMap):
            return self._content == other._content
        return isinstance(other, tuple | list) and self.is_plain and self.names == tuple(other)

    def __hash__(self) -> int:
        return hash(self.names)

    @property
    def _content(self) -> tuple[object, ...]:
        return self.names, self.values, self.ignored, self.background, self.class_order

    @property
    def is_plain(self) -> bool:
        """Whether structure i has value i, and nothing else is said of any value."""
        own = tuple((value,) for value in range(1, len(self.names) + 1))
        return self.values == own and not (self.ignored or self.background or self.class_order)

    def begins_with(self, earlier: "LabelMap") -> bool:
        """Whether all values mean what they meant in `earlier`; structures may have been added at the end."""
        count = len(earlier)
        return (self.names[:count], self.values[:count], self.class_order[:count], self.ignored, self.background) == (
            earlier.names, earlier.values, earlier.class_order, earlier.ignored, earlier.background,
        )  # fmt: skip

    @cached_property
    def owners(self) -> Mapping[int, frozenset[int]]:
        """The structures, counted from 0, of each value that is not ignored; 0 and other background have none."""
        found: dict[int, frozenset[int]] = {value: frozenset() for value in (0, *self.background)}
        for value in sorted({value for values in self.values for value in values}):
            found[value] = frozenset(index for index, values in enumerate(self.values) if value in values)
        return found

    @cached_property
    def overlaps(self) -> bool:
        """Whether some value belongs to several structures, so that a network gives each its own probability."""
        return any(len(owners) > 1 for owners in self.owners.values())

    @cached_property
    def highest(self) -> int:
        """The largest value that a label may have."""
        return max((0, *self.owners, *self.ignored))

    # Names for clients

    @cached_property
    def painting(self) -> tuple[tuple[int, int], ...]:
        """Each structure, counted from 0, with the value that it is painted with, in the order of painting.

        Without a `class_order`, structures of more values come first, so that a part is painted over its whole; each
        has the value that the fewest structures share, if possible one that no other is painted with.
        """
        if self.class_order:
            return tuple(enumerate(self.class_order))
        painted: dict[int, int] = {}
        for index in sorted(range(len(self.names)), key=lambda index: (-len(self.values[index]), index)):
            painted[index] = min(
                self.values[index], key=lambda value: (len(self.owners[value]), value in painted.values(), value)
            )
        return tuple(painted.items())

    @cached_property
    def drawn_names(self) -> Mapping[str, int]:
        """Names that clients draw with, each with its value, by rising value.

        A structure stands for the value that it is painted with, unless a later one is painted with the same. Other
        values are named after their structures, as `whole (3)`.
        """
        by_value = {value: self.names[index] for index, value in self.painting}
        for value, owners in self.owners.items():
            named = " and ".join(self.names[index] for index in sorted(owners)) or "background"
            by_value.setdefault(value, f"{named} ({value})")
        for value in self.ignored:
            by_value[value] = IGNORE if len(self.ignored) == 1 else f"{IGNORE} ({value})"
        return {by_value[value]: value for value in sorted(by_value) if value}

    @property
    def offered_names(self) -> tuple[str, ...]:
        """The names that clients offer for drawing: structures with a value of their own, and ignored values."""
        extra = tuple(name for name, value in self.drawn_names.items() if value in self.ignored)
        return (*(name for name in self.names if name in self.drawn_names), *extra)

    @cached_property
    def shown_names(self) -> Mapping[str, int]:
        """`drawn_names`, and a name for each value between them, so that the n-th name has value n.

        3D Slicer gives the n-th name to value n. With values above `MOST_SHOWN` these are `drawn_names` alone.
        """
        return self._without_gaps(self.drawn_names, self.highest)

    @cached_property
    def predicted_names(self) -> Mapping[str, int]:
        """The names of the values that a prediction may have, by rising value."""
        exact = {self.value_of_part(part) for part in self._parts_not_painted}
        predicted = exact.union(value for _, value in self.painting)
        return {name: value for name, value in self.drawn_names.items() if value in predicted}

    @cached_property
    def shown_predicted_names(self) -> Mapping[str, int]:
        """`predicted_names`, and a name for each value between them, as in `shown_names`."""
        return self._without_gaps(self.predicted_names, max(self.predicted_names.values()))

    def _without_gaps(self, names: Mapping[str, int], highest: int) -> Mapping[str, int]:
        if highest > MOST_SHOWN:
            return names
        named = {value: name for name, value in self.drawn_names.items()}
        return {named.get(value, f"unused {value}"): value for value in range(1, highest + 1)}

    # Parts: what voxels can be told apart by

    @cached_property
    def parts(self) -> tuple[frozenset[int], ...]:
        """The sets of structures that a voxel may belong to; first the empty one, the background.

        If structures exclude each other, part i is structure i, counted from 1.
        """
        painted = dict(self.painting)
        found = [frozenset[int](), *(self.owners[painted[index]] for index in range(len(self.names)))]
        return tuple(dict.fromkeys([*found, *self.owners.values()]))

    @property
    def ignored_part(self) -> int:
        """The number that `part_numbers` gives to ignored voxels, one more than the last part."""
        return len(self.parts)

    @property
    def channels(self) -> int:
        """The channels of a network's output: background and structures, or the structures alone if they overlap."""
        return len(self.names) + (not self.overlaps)

    @cached_property
    def membership(self) -> Mask:
        """Whether each part belongs to each structure: (parts, structures)."""
        return np.array([[index in part for index in range(len(self.names))] for part in self.parts], dtype=bool)

    @cached_property
    def known(self) -> Mask:
        """Whether a label may have each value from 0 to `highest`."""
        return self._table(bool, {value: True for value in (*self.owners, *self.ignored)})

    def part_numbers(self, values: Values) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """The part of each voxel of a checked label; `ignored_part` where it is ignored."""
        numbers = {owners: number for number, owners in enumerate(self.parts)}
        of_value = {value: numbers[owners] for value, owners in self.owners.items()}
        of_value |= dict.fromkeys(self.ignored, self.ignored_part)
        return self._table(np.uint8 if self.ignored_part < 256 else np.uint16, of_value)[values]

    def structure(self, index: int, values: Values) -> Mask:
        """The voxels of a checked label that belong to a structure, counted from 0."""
        return self._table(bool, dict.fromkeys(self.values[index], True))[values]

    def judged(self, values: Values) -> Mask:
        """The voxels of a checked label that are not ignored."""
        return ~self._table(bool, dict.fromkeys(self.ignored, True))[values]

    @property
    def undrawn(self) -> tuple[int, ...]:
        """The values that belong to no structure: 0, other background, and ignored values."""
        return (0, *self.background, *self.ignored)

    def drawn(self, values: NDArray[Any]) -> Mask:
        """The voxels of a label that belong to any structure; values that the map does not know count too."""
        undrawn = self.undrawn
        return values != 0 if len(undrawn) == 1 else ~np.isin(values, undrawn)

    def structures(self, values: Values) -> Iterator[tuple[str, Mask]]:
        """Each structure's name and its voxels in a checked label."""
        for index, name in enumerate(self.names):
            yield name, self.structure(index, values)

    # The way back to the values of files

    def value_of_class(self, classes: Values) -> NDArray[np.uint16]:
        """The values of a prediction of classes, 0 for background, i for structure i, which exclude each other."""
        painted = dict(self.painting)
        return np.array([0, *(painted[index] for index in range(len(self.names)))], dtype=np.uint16)[classes]

    def paint(self, masks: Sequence[Mask]) -> NDArray[np.uint16]:
        """One value a voxel of structures that may overlap, given as one mask each, all of one shape.

        They are painted over each other in the order of `painting`. A voxel whose structures are exactly those of some
        value gets such a value, also where the order alone would lose one of them.
        """
        values = np.zeros(masks[0].shape, dtype=np.uint16)
        for index, value in self.painting:
            values[masks[index]] = value
        for part in self._parts_not_painted:
            exactly = np.logical_and.reduce([mask == (index in part) for index, mask in enumerate(masks)])
            values[exactly] = self.value_of_part(part)
        return values

    def value_of_part(self, part: frozenset[int]) -> int:
        """The least value of exactly these structures."""
        return min(value for value, owners in self.owners.items() if owners == part)

    @cached_property
    def _parts_not_painted(self) -> tuple[frozenset[int], ...]:
        """The parts that would get a value of other structures by the order of painting alone."""
        in_turn = tuple(reversed(self.painting))

        def painted(part: frozenset[int]) -> int:
            return next((value for index, value in in_turn if index in part), 0)

        return tuple(part for part in self.parts if self.owners[painted(part)] != part)

    def _table(self, kind: type, entries: Mapping[int, object]) -> NDArray[Any]:
        table: NDArray[Any] = np.zeros(self.highest + 1, dtype=kind)
        for value, entry in entries.items():
            table[value] = entry
        return table


IGNORE = "ignore"
"""nnU-Net's name for the value of voxels that nobody judges."""


def label_map_of(labels: Sequence[str]) -> LabelMap:
    """`labels` if it is a map, else the map in which the i-th name, counted from 1, has value i."""
    if isinstance(labels, LabelMap):
        return labels
    return LabelMap(tuple(labels), tuple((value,) for value in range(1, len(labels) + 1)))
