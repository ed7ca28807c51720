"""The files of images by id, in a third of the memory of a dictionary: a folder may have a million.

Ids and paths lie one after another in two byte strings, sorted by id, with the place where each begins in an array.
"""

from collections.abc import Collection, ItemsView, Iterable, Iterator, Mapping, Sequence, ValuesView
from itertools import chain, islice, pairwise
from typing import Any

import numpy as np

from activelabel.data.files.names import folded

_END = b"\0"
"""What no name of a file can have in it."""
_AT_ONCE = 1024
"""How many texts are made at once: a call that lasts longer holds up all other threads."""


class TextColumn:
    """Texts without a NUL, in UTF-8, one after another.

    Attributes:
        packed: the texts, each followed by a NUL.
        starts: the places in `packed` at which each text begins, and at last the end; shape (texts + 1,).
    """

    __slots__ = ("packed", "starts")

    def __init__(self, packed: bytes) -> None:
        """Find the beginnings in `packed`.

        Raises:
            ValueError: it does not end with a NUL.
        """
        if packed and not packed.endswith(_END):
            raise ValueError("expected a NUL at the end of each text")
        self.packed = packed
        ends = np.flatnonzero(np.frombuffer(packed, np.uint8) == 0)
        smallest = np.uint32 if len(packed) < 2**32 else np.uint64
        self.starts = np.concatenate([[0], ends + 1]).astype(smallest)

    @classmethod
    def of(cls, texts: Iterable[str]) -> "TextColumn":
        """Pack texts."""
        return cls(b"".join(text.encode() + _END for text in texts))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, place: int) -> str:
        return self.raw(place).decode()

    def __iter__(self) -> Iterator[str]:
        for place in range(0, len(self), _AT_ONCE):
            last = min(place + _AT_ONCE, len(self))
            yield from self.packed[int(self.starts[place]) : int(self.starts[last]) - 1].decode().split("\0")

    def raw(self, place: int) -> bytes:
        """A text in UTF-8."""
        return self.packed[int(self.starts[place]) : int(self.starts[place + 1]) - 1]

    def place(self, text: bytes) -> int:
        """The place of the first text that is not before this one, if all are sorted."""
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self.raw(middle) < text:
                low = middle + 1
            else:
                high = middle
        return low

    def longest(self) -> int:
        """The bytes of the longest text; 0 without any."""
        return int(np.diff(self.starts.astype(np.int64)).max()) - 1 if len(self) else 0

    def replaced(self, cuts: Iterable[tuple[int, int, Iterable[str]]]) -> "TextColumn":
        """The texts with others instead of those from a place up to another; the places rise."""
        pieces, done = [], 0
        for start, stop, texts in cuts:
            pieces.append(self.packed[int(self.starts[done]) : int(self.starts[start])])
            pieces.extend(text.encode() + _END for text in texts)
            done = stop
        pieces.append(self.packed[int(self.starts[done]) :])
        return TextColumn(b"".join(pieces))


class PathTable(Mapping[str, str]):
    """Paths below a folder by image id, sorted; it never changes.

    Attributes:
        ids: the sorted ids.
        paths: the path of each.
        are_plain: whether each id is the first that its path may give (`names.first_id`), and no two have one fold
            (`names.folded`); False tells nothing.
    """

    __slots__ = ("_folded", "are_plain", "ids", "paths")

    def __init__(self, ids: TextColumn, paths: TextColumn, *, are_plain: bool = False) -> None:
        self.ids = ids
        self.paths = paths
        self.are_plain = are_plain or not len(ids)
        self._folded: np.ndarray[Any, np.dtype[np.int64]] | None = None

    @classmethod
    def of(cls, files: Mapping[str, str]) -> "PathTable":
        """The same files as a table."""
        if isinstance(files, PathTable):
            return files
        ids = sorted(files)
        return cls(TextColumn.of(ids), TextColumn.of(files[image_id] for image_id in ids))

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __contains__(self, image_id: object) -> bool:
        return self.find(image_id) is not None

    def __getitem__(self, image_id: str) -> str:
        place = self.find(image_id)
        if place is None:
            raise KeyError(image_id)
        return self.paths[place]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, PathTable):
            return self.ids.packed == other.ids.packed and self.paths.packed == other.paths.packed
        return super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]  # as every mapping that compares its content

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Ids with their paths."""
        return zip(self.ids, self.paths, strict=True)

    def items(self) -> ItemsView[str, str]:
        """Ids with their paths, none of which is looked for."""
        return _Pairs(self)

    def values(self) -> ValuesView[str]:
        """The paths, none of which is looked for."""
        return _Paths(self)

    def find(self, image_id: object) -> int | None:
        """The place of an id; None if it is not there."""
        if not isinstance(image_id, str):
            return None
        try:
            text = image_id.encode()
        except UnicodeEncodeError:
            return None
        place = self.ids.place(text)
        return place if place < len(self.ids) and self.ids.raw(place) == text else None

    def changed(self, came: Mapping[str, str], gone: Collection[str], *, are_plain: bool = False) -> "PathTable":
        """The table without the ids `gone`, and with those that came; one that is there gets the other path."""
        cuts = [(*self._span(image_id), [(image_id, came[image_id])] if image_id in came else []) for image_id in
                sorted({*came, *gone})]  # fmt: skip
        table = PathTable(
            self.ids.replaced((start, stop, [image_id for image_id, _ in new]) for start, stop, new in cuts),
            self.paths.replaced((start, stop, [path for _, path in new]) for start, stop, new in cuts),
            are_plain=are_plain or (self.are_plain and not came),
        )
        if self._folded is not None and self.are_plain:
            out = np.unique(fold_numbers(image_id for image_id in gone if image_id in self and image_id not in came))
            new = fold_numbers(image_id for image_id in came if image_id not in self)
            left = np.delete(self._folded, np.searchsorted(self._folded, out))
            table._folded = np.sort(np.concatenate([left, new]))
        return table

    def folds_of(self, ids: Iterable[str]) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Whether each of some ids may be one in the table to a file system (`names.folded`); shape (ids,).

        It is by chance true of another id once in some 10^13 times.
        """
        if self._folded is None:
            self._folded = np.sort(fold_numbers(self.ids))
        asked = fold_numbers(ids)
        places = np.searchsorted(self._folded, asked)
        there = places < len(self._folded)
        return there & (self._folded[np.where(there, places, 0)] == asked) if len(self._folded) else there

    def _span(self, image_id: str) -> tuple[int, int]:
        """The place of an id, or at which it would be, and the end of it."""
        place = self.ids.place(image_id.encode())
        return place, place + (place < len(self.ids) and self.ids.raw(place) == image_id.encode())


class _Pairs(ItemsView[str, str]):
    _mapping: PathTable

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return self._mapping.pairs()


class _Paths(ValuesView[str]):
    _mapping: PathTable

    def __iter__(self) -> Iterator[str]:
        return iter(self._mapping.paths)


def fold_numbers(ids: Iterable[str]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """A number for each id, the same within this process for all of one fold (`names.folded`); shape (ids,)."""
    return np.fromiter(map(hash, map(folded, ids)), np.int64)


def are_apart(numbers: np.ndarray[Any, np.dtype[np.int64]]) -> bool:
    """Whether no number is there twice."""
    rising = np.sort(numbers)
    return not bool((rising[1:] == rising[:-1]).any())


def is_rising(texts: Iterable[str]) -> bool:
    """Whether each text comes after the one before it."""
    return all(first < second for first, second in pairwise(texts))


def only_here_and_there(here: TextColumn, there: Iterable[Sequence[str]]) -> tuple[Iterator[str], set[str]]:
    """The texts of a sorted column that are only in it, and those that are only in the other sorted texts.

    These come in pieces; one that is the same as what comes next in the column is passed at once.
    """
    between, others, place = list[str](), set[str](), 0
    for some in there:
        packed = "\0".join((*some, "")).encode()
        if here.packed.startswith(packed, int(here.starts[place])):
            place += len(some)
            continue
        for text in some:
            while place < len(here) and here[place] < text:
                between.append(here[place])
                place += 1
            if place < len(here) and here[place] == text:
                place += 1
            else:
                others.add(text)
    return chain(between, islice(here, place, None)), others


def difference(before: PathTable, after: PathTable) -> tuple[Mapping[str, str], set[str]]:
    """The images that came or have another path, with it, and the ids of those that went."""
    if not before:  # a dictionary of a million images takes 200 MB
        return after, set()
    first = min(_first_other(one, other) for one, other in _columns(before, after))
    left = min(len(before), len(after)) - first
    last = min(min(_last_same(one, other) for one, other in _columns(before, after)), left)
    had = _between(before, first, len(before) - last)
    has = _between(after, first, len(after) - last)
    return {id_: path for id_, path in has.items() if had.get(id_) != path}, had.keys() - has.keys()


def _columns(before: PathTable, after: PathTable) -> tuple[tuple[TextColumn, TextColumn], ...]:
    return (before.ids, after.ids), (before.paths, after.paths)


def _first_other(one: TextColumn, other: TextColumn) -> int:
    """How many texts are the same at the beginning."""
    shortest = min(len(one.packed), len(other.packed))
    first, second = (np.frombuffer(column.packed, np.uint8, shortest) for column in (one, other))
    others = np.flatnonzero(first != second)
    same = int(others[0]) if len(others) else shortest
    return int(np.searchsorted(one.starts, same, side="right")) - 1


def _last_same(one: TextColumn, other: TextColumn) -> int:
    """How many texts are the same at the end."""
    shortest = min(len(one.packed), len(other.packed))
    first, second = (np.frombuffer(column.packed, np.uint8)[len(column.packed) - shortest :] for column in (one, other))
    others = np.flatnonzero(first != second)
    same = shortest - 1 - int(others[-1]) if len(others) else shortest
    return len(one) - int(np.searchsorted(one.starts, len(one.packed) - same, side="left"))


def _between(table: PathTable, start: int, stop: int) -> dict[str, str]:
    return {table.ids[place]: table.paths[place] for place in range(start, stop)}
