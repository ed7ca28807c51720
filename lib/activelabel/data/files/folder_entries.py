"""The entries of a folder. What cannot be looked at now raises, so that it does not count as gone."""

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from activelabel.data.files.links import Entry
from activelabel.data.files.names import MOST_USED, are_plain_images, is_hidden, no_image

NOT_ALLOWED = "a folder that cannot be read"
"""How the reason begins for a folder that this process may not read."""
NOT_UTF8 = "its name is not UTF-8: rename it"
_AT_ONCE = 1000
"""How many names are looked at together: a call that lasts longer holds up all other threads."""
_NOWHERE = frozenset({errno.ELOOP, errno.ENAMETOOLONG})
"""Errors of a link that leads nowhere, beside those for what is missing."""


@dataclass(frozen=True)
class OneEntry:
    """An entry that is looked at alone.

    Its methods raise OSError where nobody can say what it is, as on a share that does not answer. A link that leads
    nowhere, in a circle, or to what this process may not look at is neither folder nor file.
    """

    path: str

    @property
    def name(self) -> str:
        """Its name."""
        return os.path.basename(self.path)

    def is_dir(self) -> bool:
        """Whether it is a folder, or a link to one."""
        return stat.S_ISDIR(self._mode())

    def is_file(self) -> bool:
        """Whether it is a file, or a link to one."""
        return stat.S_ISREG(self._mode())

    def is_symlink(self) -> bool:
        """Whether it is a link."""
        return os.path.islink(self.path)

    def _mode(self) -> int:
        """The kind of what lies there; 0 if nothing does."""
        try:
            return os.stat(self.path).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return 0
        except OSError as error:
            if error.errno in _NOWHERE or (isinstance(error, PermissionError) and self.is_symlink()):
                return 0
            raise


@dataclass(frozen=True)
class PlainFile:
    """An entry that is a file, no folder or link."""

    path: str

    @property
    def name(self) -> str:
        """Its name."""
        return os.path.basename(self.path)

    def is_dir(self) -> bool:
        """False."""
        return False

    def is_file(self) -> bool:
        """True."""
        return True

    def is_symlink(self) -> bool:
        """False."""
        return False


def shown_entries(folder: Path, below: str, passed_over: dict[str, str]) -> list[Entry]:
    """The entries of a folder, sorted, without hidden ones and names that cannot be sent.

    A sub-folder that this process may not read, such as the `lost+found` of a disk, has none. `below` is the beginning
    of the paths in the folder, empty for the one that was named.

    Raises:
        OSError: the folder cannot be read for another reason, or is the one that was named.
    """
    return _shown(_scanned(folder, below, passed_over), below, passed_over)


def images_and_others(folder: Path, below: str, passed_over: dict[str, str]) -> tuple[list[str], list[Entry]]:
    """The entries of `shown_entries`: names of images, whatever lies beside them, and all others.

    Of images only names are kept, as there may be a million. A folder in which some name is not plain has others only.

    Raises:
        OSError: as there.
    """
    names, others = list[str](), list[Entry]()
    for entry in _scanned(folder, below, passed_over):
        if entry.name.endswith(MOST_USED) and entry.is_file(follow_symlinks=False):
            names.append(entry.name)
        else:
            others.append(entry)
    shown = _shown(others, below, passed_over)
    are_plain = all(are_plain_images(names[place : place + _AT_ONCE]) for place in range(0, len(names), _AT_ONCE))
    if are_plain and all(entry.is_dir() or no_image(entry.name) is not None for entry in shown):
        return names, shown
    return [], _shown([*others, *(PlainFile(os.path.join(folder, name)) for name in names)], below, passed_over)


def _scanned(folder: Path, below: str, passed_over: dict[str, str]) -> Iterator["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except PermissionError as error:
        if not below:
            raise
        passed_over[below] = f"{NOT_ALLOWED} ({error.strerror}): allow it, or move it away"


def _shown(entries: Iterable[Entry], below: str, passed_over: dict[str, str]) -> list[Entry]:
    # `os.DirEntry` raises errors for a link that leads in a circle.
    shown = sorted(
        (OneEntry(entry.path) if entry.is_symlink() else entry for entry in entries if not is_hidden(entry.name)),
        key=lambda entry: entry.name,
    )
    for entry in shown:
        if not is_utf8(entry.name):
            passed_over[ascii(f"{below}{entry.name}")[1:-1]] = NOT_UTF8
    return [entry for entry in shown if is_utf8(entry.name)]


def entries_as_they_come(folder: Path, below: str) -> Iterator[Entry]:
    """The entries of `shown_entries`, unsorted, each before the next is read.

    Raises:
        OSError: as there.
    """
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not is_hidden(entry.name) and is_utf8(entry.name):
                    yield OneEntry(entry.path) if entry.is_symlink() else entry
    except PermissionError:
        if not below:
            raise


def has_file(folder: str, name: str) -> bool:
    """Whether there is a file of that name in a folder; False if this process may not look into it."""
    try:
        return OneEntry(os.path.join(folder, name)).is_file()
    except PermissionError:
        return False


def is_utf8(name: str) -> bool:
    """Whether a name can be written in UTF-8, as a client's request is."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
