"""The files of a folder that may be images, by their names, read once; a change reads again only what has changed.

Only names and links count, and what a name means may depend on those beside it: a file with the name of a label belongs
to an image of the same folder.
"""

import errno
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from activelabel.data.files.folder_entries import (
    NOT_ALLOWED,
    NOT_UTF8,
    OneEntry,
    entries_as_they_come,
    has_file,
    images_and_others,
    is_utf8,
    shown_entries,
)
from activelabel.data.files.links import LINKS_OUT, Entry, is_link_out
from activelabel.data.files.many.path_set import PathSet
from activelabel.data.files.names import is_bids_label, is_hidden, label_words_off, no_image, stem_of
from activelabel.data.files.other_names import (
    AUDIT,
    LATE_FOLDERS,
    OF_BIDS,
    TEST_IMAGES,
    TRAINING_IMAGES,
    Stems,
    may_be_of_another,
    reason_by_name,
    was_image_once,
)

PROJECT_FOLDER = "activelabel"
"""The folder below the images in which a server keeps its project by default."""
LEDGER_FILE = "ledger.sqlite"
_OWN_FOLDERS = ("labels", PROJECT_FOLDER)
_NOWHERE = "a link that leads nowhere, or no file: remove it"


@dataclass
class FolderReading:
    """What names below a folder are images by themselves.

    Hidden files, the host's folder of labels, project folders and files unlike images are skipped without a reason.

    Attributes:
        folder: must exist.
        without: folders with other content, which are not searched.
        links_out: whether to take links to files outside of the folder too.
        kept: files that are images, and folders, by their paths with a slash at the end, that are searched, although
            their names are those of labels or test images.
        images: paths of images below the folder.
        passed_over: by path, the reason why a file or folder is not used.
    """

    folder: Path
    without: Collection[Path] = ()
    links_out: bool = False
    kept: Collection[str] = ()
    images: PathSet = field(default_factory=PathSet, init=False)
    passed_over: dict[str, str] = field(default_factory=dict, init=False)
    _folders: set[str] = field(default_factory=set, init=False)
    """Folders that were read, by the beginning of the paths in them."""
    _with_labels: set[str] = field(default_factory=set, init=False)
    """Those of them with names of labels among the files."""
    _links: set[str] = field(default_factory=set, init=False)
    """No change of their own tells that what they lead to has come or gone."""

    def __post_init__(self) -> None:
        """Resolve links in the folders that are not searched."""
        self.without = {path.resolve() for path in self.without}

    def read(self) -> None:
        """Read all.

        Raises:
            OSError: a folder cannot be read, other than for want of a permission below the first one.
        """
        for known in (self.images, self.passed_over, self._folders, self._with_labels, self._links):
            known.clear()
        self._read_below("")

    def read_again(self, changed: Collection[str]) -> bool:
        """Read again what is at these paths below the folder, with all below it; False if all must be read.

        `changed` may name what is gone, and what is no image.

        Raises:
            OSError: as `read`; then what was read is of no use any more.
        """
        if self.kept or NOT_UTF8 in self.passed_over.values():
            return False
        paths = {_folder_of(path) if _name_of(path) == LEDGER_FILE else path.strip("/") for path in changed}
        if any(not path or not is_utf8(path) for path in paths):
            return False
        if any(_name_of(path) in (TRAINING_IMAGES, TEST_IMAGES, AUDIT) for path in paths):
            return False
        wanted = set[str]()
        for path in sorted(paths | self._links):  # a folder before what is in it
            found = self._to_read(path)
            if found is not None and wanted.isdisjoint(_above(found)):
                wanted.add(found)
        by_others = {
            start
            for start, path in ((_start_of(path), path) for path in wanted)
            if start in self._with_labels or any(label_words_off(stem_of(_name_of(path))))
        }
        self._forget(wanted, by_others)
        for path in sorted(wanted):
            entry, start = OneEntry(str(self.folder / path)), _start_of(path)
            if entry.is_dir():
                self._take_folder(entry, start)
            elif start not in by_others and os.path.lexists(entry.path):
                self._take_file(entry, start)
        for start in sorted(by_others):
            entries = shown_entries(self.folder / start, start, self.passed_over)
            self._take_files([entry for entry in entries if not entry.is_dir()], start)
        return True

    def holds_images(self) -> bool | None:
        """Whether `read` finds images, without reading on after the first; None if only it can tell.

        Raises:
            OSError: as `read`.
        """
        folders, doubtful = [""], False
        while folders:
            start = folders.pop()
            for entry in entries_as_they_come(self.folder / start, start):
                path = f"{start}{entry.name}"
                if entry.is_dir():
                    if not self._is_skipped(entry, start) and self._reason_not_to_enter(entry, path) is None:
                        folders.append(f"{path}/")
                elif self._not_taken(entry, start) is None:
                    if not may_be_of_another(entry.name):
                        return True
                    doubtful = True
        return None if doubtful else False

    def check_reachable(self, known: Collection[str]) -> None:
        """Check that no known image lies where this process may not look, since it would count as gone.

        Raises:
            PermissionError: one does.
        """
        closed = {path for path, reason in self.passed_over.items() if reason.startswith(NOT_ALLOWED)}
        for start in closed:
            if any(path.startswith(start) for path in known):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self.folder / start))
        nowhere = {path for path, reason in self.passed_over.items() if reason == _NOWHERE}
        for path in nowhere.intersection(known) if nowhere else ():
            try:
                os.stat(self.folder / path)
            except PermissionError:
                raise
            except OSError:  # it leads nowhere indeed
                continue

    def known_to_keep(self, known: Collection[str]) -> set[str]:
        """What of these known images, or of the folders above them, is passed over by names that were images once.

        A project that began with them goes on with them.
        """
        late = {path for path, reason in self.passed_over.items() if reason in LATE_FOLDERS}
        folders = {f"{above}/" for path in known for above in _above(path)} if late else set[str]()
        once = {path for path, reason in self.passed_over.items() if was_image_once(_name_of(path), reason)}
        files = once.intersection(known) if once else set[str]()
        return (late & folders) | files

    def _to_read(self, path: str) -> str | None:
        """What has to be read if something at a path has changed: it, or what is above it; None if nothing."""
        parts = path.split("/")
        for depth in range(1, len(parts)):
            above = "/".join(parts[:depth])
            entry = OneEntry(str(self.folder / above))
            if is_hidden(entry.name):
                return None
            if not entry.is_dir():
                return above  # it has gone, or is a file now
            if self._is_skipped(entry, _start_of(above)) or self._reason_not_to_enter(entry, above) is not None:
                return None
            if f"{above}/" not in self._folders:
                return above
        return None if is_hidden(parts[-1]) else path

    def _forget(self, paths: Collection[str], by_others: Collection[str]) -> None:
        """Forget what was at these paths and all below them, and the files of the folders `by_others`."""
        for path in paths:
            self.images.discard(path)
            self._links.discard(path)
            for key in (path, f"{path}/"):
                self.passed_over.pop(key, None)
        gone = {path for path in paths if f"{path}/" in self._folders}
        if gone:
            self._links -= {path for path in self._links if _is_below(path, gone)}
            for folders in (self._folders, self._with_labels):
                folders -= {start for start in folders if start.rstrip("/") in gone or _is_below(start, gone)}
        if gone or by_others:
            starts = self.images.by_folder()
            self.images.forget(
                [one for one in starts if one in by_others or one.rstrip("/") in gone or _is_below(one, gone)]
            )
            for path in [*self.passed_over]:
                is_file = not path.endswith("/")
                if (is_file and _start_of(path) in by_others) or _is_below(path, gone):
                    del self.passed_over[path]

    def _read_below(self, start: str) -> None:
        """Read a folder and all below it; `start` is the beginning of the paths in it."""
        self._folders.add(start)
        images, entries = images_and_others(self.folder / start, start, self.passed_over)
        self.images.put(start, images)
        beside = {entry.name for entry in entries}
        files = []
        for entry in entries:
            if entry.is_dir():
                self._take_folder(entry, start, beside)
            else:
                files.append(entry)
        self._take_files(files, start)

    def _take_folder(self, entry: Entry, start: str, beside: Collection[str] | None = None) -> None:
        if self._is_skipped(entry, start):
            return
        path = f"{start}{entry.name}"
        self._note_link(entry, start)
        reason = self._reason_not_to_enter(entry, path, beside)
        if reason is None:
            self._read_below(f"{path}/")
        else:
            self.passed_over[f"{path}/"] = reason

    def _take_file(self, entry: Entry, start: str) -> None:
        """Take a file that no other can be a label of, nor it of others."""
        self._note_link(entry, start)
        reason = self._not_taken(entry, start)
        if reason is None:
            self.images.add(f"{start}{entry.name}")
        elif reason:
            self.passed_over[f"{start}{entry.name}"] = reason

    def _take_files(self, entries: Iterable[Entry], start: str) -> None:
        names = []
        for entry in entries:
            self._note_link(entry, start)
            reason = self._not_taken(entry, start)
            if reason is None:
                names.append(entry.name)
            elif reason:
                self.passed_over[f"{start}{entry.name}"] = reason
        others = Stems(names)
        for name in names:
            path = f"{start}{name}"
            reason = None if path in self.kept else others.reason_against(name)
            if reason is None:
                self.images.add(path)
            else:
                self.passed_over[path] = reason
        if others.with_labels:
            self._with_labels.add(start)
        else:
            self._with_labels.discard(start)

    def _note_link(self, entry: Entry, start: str) -> None:
        if entry.is_symlink():
            self._links.add(f"{start}{entry.name}")

    @property
    def _within(self) -> Path | None:
        return None if self.links_out else self.folder

    def _is_skipped(self, entry: Entry, start: str) -> bool:
        is_own = not start and entry.name in _OWN_FOLDERS
        if is_own or has_file(entry.path, LEDGER_FILE):
            return True
        return bool(self.without) and Path(entry.path).resolve() in self.without

    def _reason_not_to_enter(self, entry: Entry, path: str, beside: Collection[str] | None = None) -> str | None:
        """The reason why a folder is not searched for images, going by its name and those beside it."""
        reason = None if f"{path}/" in self.kept else reason_by_name(entry, beside)
        if reason is None and entry.is_symlink():
            return "a link to a folder is not followed: put the images themselves there"
        return reason

    def _not_taken(self, entry: Entry, start: str) -> str | None:
        """The reason why a file is no image, whatever lies beside it; "" for a file that needs no reason."""
        if not entry.is_file():
            return _NOWHERE
        reason = no_image(entry.name)
        if reason is None and is_bids_label(entry.name) and f"{start}{entry.name}" not in self.kept:
            return OF_BIDS
        return LINKS_OUT if reason is None and is_link_out(entry, self._within) else reason


def _start_of(path: str) -> str:
    """The beginning of a path and of all others in the same folder: `a/b/` for `a/b/c.nii`, empty for `c.nii`."""
    return path[: path.rfind("/") + 1]


def _above(path: str) -> Iterator[str]:
    """The folders in which a path lies, the outermost first."""
    return (path[:place] for place, sign in enumerate(path[:-1]) if sign == "/")


def _is_below(path: str, folders: Collection[str]) -> bool:
    return bool(folders) and any(folder in folders for folder in _above(path))


def _folder_of(path: str) -> str:
    return _start_of(path.strip("/")).rstrip("/")


def _name_of(path: str) -> str:
    return path.strip("/").rpartition("/")[2]
