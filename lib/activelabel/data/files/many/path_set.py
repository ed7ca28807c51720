"""Paths below a folder by the folder they lie in, in a fifth of a set's memory: a folder may have a million files."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

Names = dict[str, str]
"""By the beginning of the paths in a folder, their names, sorted, with a NUL between them."""


@dataclass
class PathSet:
    """Paths with a slash between folders. What was added and removed is sorted in when somebody reads."""

    _names: Names = field(default_factory=dict)
    _added: dict[str, set[str]] = field(default_factory=dict)
    _removed: dict[str, set[str]] = field(default_factory=dict)
    _is_shared: bool = False
    """Whether a reader has the names: then a change makes new ones, so that no copy is made for each reader."""

    def __iter__(self) -> Iterator[str]:
        for start, names in self.by_folder().items():
            for name in names.split("\0"):
                yield start + name

    def __len__(self) -> int:
        return sum(names.count("\0") + 1 for names in self.by_folder().values())

    def by_folder(self) -> Names:
        """The names in each folder, not to be changed. A later change does not change it either."""
        added, removed = self._added, self._removed
        self._added, self._removed = {}, {}
        for start in added.keys() | removed.keys():
            known = self._names[start].split("\0") if start in self._names else ()
            self.put(start, {*known, *added.get(start, ())} - removed.get(start, set()))
        self._is_shared = True
        return self._names

    def put(self, start: str, names: Iterable[str]) -> None:
        """Let these be all names in a folder."""
        self._added.pop(start, None)
        self._removed.pop(start, None)
        if self._is_shared:
            self._names, self._is_shared = dict(self._names), False
        rising = sorted(names)
        if rising:
            self._names[start] = "\0".join(rising)
        else:
            self._names.pop(start, None)

    def add(self, path: str) -> None:
        """Add a path."""
        start, name = _parts(path)
        self._removed.get(start, set()).discard(name)
        self._added.setdefault(start, set()).add(name)

    def discard(self, path: str) -> None:
        """Remove a path, if it is there."""
        start, name = _parts(path)
        self._added.get(start, set()).discard(name)
        self._removed.setdefault(start, set()).add(name)

    def forget(self, starts: Collection[str]) -> None:
        """Remove all that lies in these folders themselves."""
        self.by_folder()
        for start in starts:
            self.put(start, ())

    def clear(self) -> None:
        """Remove all."""
        self._names, self._added, self._removed, self._is_shared = {}, {}, {}, False


def difference(before: Names, after: Names) -> tuple[set[str], set[str]]:
    """The paths that came and those that went."""
    came, gone = set[str](), set[str]()
    for start in before.keys() | after.keys():
        earlier, later = before.get(start, ""), after.get(start, "")
        if earlier != later:
            had = set(earlier.split("\0")) if earlier else set()
            has = set(later.split("\0")) if later else set()
            came |= {start + name for name in has - had}
            gone |= {start + name for name in had - has}
    return came, gone


def _parts(path: str) -> tuple[str, str]:
    end = path.rfind("/") + 1
    return path[:end], path[end:]
