"""The files of a folder that may be images, by their names, read once; a change reads again only what has changed.

Only names and links count, and what a name means may depend on those beside it: a file with the name of a label belongs
to an image of the same folder.
"""

import os
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from activelabel.data.files.links import LINKS_OUT, Entry, is_link_out
from activelabel.data.files.names import is_bids_label, is_hidden, is_label_folder, label_words_off, no_image, stem_of

PROJECT_FOLDER = "activelabel"
"""The folder below the images in which a server keeps its project by default."""
LEDGER_FILE = "ledger.sqlite"
TRAINING_IMAGES, TEST_IMAGES = "imagesTr", "imagesTs"
"""Folders of the Medical Segmentation Decathlon and of nnU-Net."""
AUDIT = "audit.csv"
VERSIONS = "versions"
"""Of an exported data set: the audit trail, and the folder of the label versions and drafts that it names, and of the
masks that models showed."""
_DERIVATIVES = "derivatives"  # of BIDS
_OWN_FOLDERS = ("labels", PROJECT_FOLDER)
_OF_LABEL = "by its name a label of an image beside it: it belongs into labels/final"
_OF_BIDS = "by its name a segmentation or mask of BIDS: it belongs into labels/final"
_NOT_UTF8 = "its name is not UTF-8: rename it"


@dataclass(frozen=True)
class _OneEntry:
    """An entry that is looked at alone."""

    path: str

    @property
    def name(self) -> str:
        return os.path.basename(self.path)

    def is_dir(self) -> bool:
        return os.path.isdir(self.path)

    def is_file(self) -> bool:
        return os.path.isfile(self.path)

    def is_symlink(self) -> bool:
        return os.path.islink(self.path)


@dataclass
class FolderReading:
    """What names below a folder are images by themselves.

    Hidden files, the host's folder of labels, project folders and files unlike images are skipped without a reason.

    Attributes:
        folder: must exist.
        without: folders with other content, which are not searched.
        links_out: whether to take links to files outside of the folder too.
        entered: folders of test images, by their paths with a slash at the end, that are searched all the same.
        images: paths of images below the folder.
        passed_over: by path, the reason why a file or folder is not used.
    """

    folder: Path
    without: Collection[Path] = ()
    links_out: bool = False
    entered: Collection[str] = ()
    images: set[str] = field(default_factory=set, init=False)
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
        """Read all."""
        for known in (self.images, self.passed_over, self._folders, self._with_labels, self._links):
            known.clear()
        self._read_below("")

    def read_again(self, changed: Collection[str]) -> bool:
        """Read again what is at these paths below the folder, with all below it; False if all must be read.

        `changed` may name what is gone, and what is no image.
        """
        if self.entered or _NOT_UTF8 in self.passed_over.values():
            return False
        paths = {_folder_of(path) if _name_of(path) == LEDGER_FILE else path.strip("/") for path in changed}
        if any(not path or not is_utf8(path) for path in paths):
            return False
        if any(_name_of(path) in (TRAINING_IMAGES, TEST_IMAGES) for path in paths):
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
            entry, start = _OneEntry(str(self.folder / path)), _start_of(path)
            if entry.is_dir():
                self._take_folder(entry, start)
            elif start not in by_others and os.path.lexists(entry.path):
                self._take_file(entry, start)
        for start in sorted(by_others):
            entries = shown_entries(self.folder / start, start, self.passed_over)
            self._take_files([entry for entry in entries if not entry.is_dir()], start)
        return True

    def _to_read(self, path: str) -> str | None:
        """What has to be read if something at a path has changed: it, or what is above it; None if nothing."""
        parts = path.split("/")
        for depth in range(1, len(parts)):
            above = "/".join(parts[:depth])
            entry = _OneEntry(str(self.folder / above))
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
            self.images -= {path for path in self.images if _start_of(path) in by_others or _is_below(path, gone)}
            for path in [*self.passed_over]:
                is_file = not path.endswith("/")
                if (is_file and _start_of(path) in by_others) or _is_below(path, gone):
                    del self.passed_over[path]

    def _read_below(self, start: str) -> None:
        """Read a folder and all below it; `start` is the beginning of the paths in it."""
        self._folders.add(start)
        entries = shown_entries(self.folder / start, start, self.passed_over)
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
        reason = _not_taken(entry, self._within)
        if reason is None:
            self.images.add(f"{start}{entry.name}")
        elif reason:
            self.passed_over[f"{start}{entry.name}"] = reason

    def _take_files(self, entries: Iterable[Entry], start: str) -> None:
        names = []
        for entry in entries:
            self._note_link(entry, start)
            reason = _not_taken(entry, self._within)
            if reason is None:
                names.append(entry.name)
            elif reason:
                self.passed_over[f"{start}{entry.name}"] = reason
        others, with_labels = _Stems(names), False
        for name in names:
            if others.hold_image_of(name):
                self.passed_over[f"{start}{name}"] = _OF_LABEL
            else:
                self.images.add(f"{start}{name}")
            with_labels = with_labels or any(label_words_off(stem_of(name)))
        if with_labels:
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
        if is_own or os.path.isfile(os.path.join(entry.path, LEDGER_FILE)):
            return True
        return bool(self.without) and Path(entry.path).resolve() in self.without

    def _reason_not_to_enter(self, entry: Entry, path: str, beside: Collection[str] | None = None) -> str | None:
        """The reason why a folder is not searched for images, going by its name and those beside it."""
        if f"{path}/" in self.entered:
            return None
        if is_label_folder(entry.name):
            return "a folder of this name holds labels, no images"
        if entry.name == _DERIVATIVES:
            return (
                "a folder of this name holds what was made of the images of a BIDS data set, such as labels: put "
                "images elsewhere, or name this folder itself"
            )
        if entry.name == VERSIONS and os.path.lexists(os.path.join(os.path.dirname(entry.path), AUDIT)):
            return f"beside {AUDIT} it holds the versions of labels of an exported project"
        if entry.name == TEST_IMAGES:
            training = os.path.join(os.path.dirname(entry.path), TRAINING_IMAGES)
            if TRAINING_IMAGES in beside if beside is not None else os.path.lexists(training):
                return (
                    f"beside {TRAINING_IMAGES} it holds the test images of a data set, which nothing may be learnt from"
                )
        return "a link to a folder is not followed: put the images themselves there" if entry.is_symlink() else None


class _Stems:
    """The names of a folder's images, without the names of labels."""

    def __init__(self, names: Iterable[str]) -> None:
        stems = [stem for stem in map(stem_of, names) if not any(label_words_off(stem))]
        self._rising = sorted(stems)
        self._backwards = sorted(stem[::-1] for stem in stems)

    def hold_image_of(self, name: str) -> bool:
        """Whether a file has the name of a label, and an image's name begins or ends with the rest of it."""
        return any(
            _one_starts_with(self._rising if is_start else self._backwards, rest if is_start else rest[::-1])
            for rest, is_start in label_words_off(stem_of(name))
        )


def _one_starts_with(rising: Sequence[str], start: str) -> bool:
    place = bisect_left(rising, start)
    return place < len(rising) and rising[place].startswith(start)


def shown_entries(folder: Path, below: str, passed_over: dict[str, str]) -> list[Entry]:
    """The entries of a folder, sorted, without hidden ones and names that cannot be sent.

    A folder that may not be read, such as the `lost+found` of a disk, has none.
    """
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if not is_hidden(entry.name)]
    except OSError as error:
        passed_over[below or "."] = f"a folder that cannot be read ({error.strerror}): allow it, or move it away"
        return []
    # A link may lead nowhere, in a circle, or to what nobody may look at, and `os.DirEntry` then raises errors.
    shown = sorted(
        (_OneEntry(entry.path) if entry.is_symlink() else entry for entry in found), key=lambda entry: entry.name
    )
    for entry in shown:
        if not is_utf8(entry.name):
            passed_over[ascii(f"{below}{entry.name}")[1:-1]] = _NOT_UTF8
    return [entry for entry in shown if is_utf8(entry.name)]


def is_utf8(name: str) -> bool:
    """Whether a name can be written in UTF-8, as a client's request is."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _not_taken(entry: Entry, within: Path | None) -> str | None:
    """The reason why a file is no image; "" for a file that needs no reason."""
    if not entry.is_file():
        return "a link that leads nowhere, or no file: remove it"
    reason = no_image(entry.name)
    if reason is None and is_bids_label(entry.name):
        return _OF_BIDS
    return LINKS_OUT if reason is None and is_link_out(entry, within) else reason


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
    return PurePosixPath(path).name
