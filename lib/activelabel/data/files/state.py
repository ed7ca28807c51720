"""The state of an image's files, by which a change is noticed without reading them."""

from pathlib import Path
from typing import NamedTuple

from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.writing import file_stamp, write_atomically


class FileState(NamedTuple):
    """The state of the files of an image together.

    Attributes:
        size: in bytes.
        modified_ns: the latest time of a change of their content, in nanoseconds, which any program may set.
        changed_ns: the latest time of a change of content, times or names, in nanoseconds, which the system alone
            sets. It is another one after each copy. On Windows it is the time at which the file was made there: a
            change whose time was put back is not noticed.
    """

    size: int
    modified_ns: int
    changed_ns: int


def state_of(files: ImageFiles) -> FileState:
    """The state of an image's files as they are now. A file that is missing has none: reading the image says so."""
    states = [path.stat() for path in files.paths if path.exists()]
    return FileState(
        sum(state.st_size for state in states),
        max((state.st_mtime_ns for state in states), default=0),
        max((state.st_ctime_ns for state in states), default=0) if files.changed_ns is None else files.changed_ns,
    )


def stamp_of(*files: Path | None) -> str:
    """The states of files as a text; a missing file adds nothing."""
    return "; ".join(_stamp(file) for file in files if file is not None)


def is_of_stamp(stamp: str, *files: Path | None) -> bool:
    """Whether files are in the state of a stamp. An earlier version's does not tell when they were last changed."""
    now = stamp_of(*files)
    return stamp in (now, "; ".join(_without_changed(state) for state in now.split("; ")))


def _stamp(file: Path) -> str:
    try:
        status = file.stat()
    except OSError:
        return "missing"
    return " ".join(map(str, file_stamp(status)))


def _without_changed(state: str) -> str:
    return " ".join(state.split(" ")[:2])


def is_made_from(made: Path, files: ImageFiles) -> bool:
    """Whether a file is there that was made from an image's files as they are now, as `note_made_from` has noted.

    The file's own time does not tell: the clock of a file server may be ahead, and an image may have an old time.
    """
    try:
        return made.is_file() and noted_beside(made).read_text(encoding="utf-8") == _text(state_of(files))
    except (OSError, ValueError):
        return False


def note_made_from(made: Path, state: FileState) -> None:
    """Note beside a file the state in which an image's files were before it was made from them."""
    write_atomically(noted_beside(made), _text(state).encode(), lasting=False, whole=False)


def noted_beside(made: Path) -> Path:
    """The file in which `note_made_from` notes it."""
    return made.with_name(f"{made.name}.from")


def _text(state: FileState) -> str:
    return " ".join(map(str, state))
