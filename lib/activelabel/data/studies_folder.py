"""What lies in a folder of images: each image with its id, and what was passed over, with the reason.

The datastore, `doctor`, `score` and `simulate` all ask here, so that they agree. Names alone decide; nothing is opened.
"""

import os
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from activelabel.data.file_names import (
    ENDINGS,
    ending_of,
    image_ids,
    is_hidden,
    is_label_folder,
    label_words_off,
    labelled_ids,
    no_image,
    stem_of,
)

PROJECT_FOLDER = "activelabel"
"""Below the images: where a server keeps its project unless it is told otherwise."""
LEDGER_FILE = "ledger.sqlite"
_OWN_FOLDERS = ("labels", PROJECT_FOLDER)
_NAMES_IN_A_LINE = 5


@dataclass(frozen=True)
class FolderContent:
    """Files by the id of the image that they are, or whose label they are, with paths below the folder.

    Attributes:
        folder: that was looked into.
        files: path below the folder by id; rising.
        passed_over: why a file or folder is not used, by its path.
    """

    folder: Path
    files: Mapping[str, str]
    passed_over: Mapping[str, str] = field(default_factory=dict)

    def path(self, image_id: str) -> Path:
        """Where the file of an id is."""
        return self.folder / self.files[image_id]

    def lines(self) -> list[str]:
        """One line a reason: how many files were passed over for it, and which."""
        return lines_on(self.passed_over)


def lines_on(passed_over: Mapping[str, str]) -> list[str]:
    """One line a reason: `2 passed over (old.hdr, old.img): ...`."""
    by_reason = defaultdict(list)
    for path, reason in sorted(passed_over.items()):
        by_reason[reason].append(path)
    return [_line(paths, reason) for reason, paths in sorted(by_reason.items())]


def find_images(
    folder: Path, known: Mapping[str, str] | None = None, without: Collection[Path] = ()
) -> FolderContent:
    """The images in a folder and its sub-folders.

    Hidden files, the host's folder of labels, project folders and files that nobody takes for images are not mentioned.

    Args:
        folder: must exist.
        known: paths below the folder by ids that were given before; they keep these as long as they are there.
        without: folders that hold something else, and are not looked into.
    """
    passed_over: dict[str, str] = {}
    skipped = {path.resolve() for path in without}
    found = list(_images_below(folder, "", skipped, passed_over))
    return FolderContent(folder, dict(sorted(_with_ids(found, known or {}).items())), passed_over)


def find_labels(folder: Path, image_ids: Collection[str]) -> FolderContent:
    """The label files in a folder and its sub-folders, by the id of the image that each belongs to.

    A label belongs to the image of its name, or to that of its name without a word for label, as `case_seg.nii.gz`.
    """
    passed_over: dict[str, str] = {}
    paths = list(_labels_below(folder, "", passed_over))
    files: dict[str, str] = {}
    for path in sorted(paths, key=lambda path: _aliases(path, image_ids)):
        owner = next((known for known in labelled_ids(path) if known in image_ids), None)
        if owner is None:
            passed_over[path] = "no image is called so: name the label as its image"
        elif owner in files:
            passed_over[path] = "another label of the same image was there first: leave one"
        else:
            files[owner] = path
    return FolderContent(folder, dict(sorted(files.items())), passed_over)


def _aliases(path: str, image_ids: Collection[str]) -> tuple[int, int, str]:
    """Exact names first, then the order of endings."""
    candidates = list(labelled_ids(path))
    place = next((place for place, known in enumerate(candidates) if known in image_ids), len(candidates))
    return place, _preference(path), path


def _images_below(folder: Path, below: str, skipped: Collection[Path], passed_over: dict[str, str]) -> Iterator[str]:
    """Paths of images below `folder`, `below` being its own path below the first one."""
    names = []
    for entry in _entries(folder):
        path = f"{below}{entry.name}"
        if not _is_utf8(entry.name):
            passed_over[ascii(path)[1:-1]] = "the name is not UTF-8: rename it"
        elif entry.is_dir():
            if _is_ours(entry, below) or Path(entry.path).resolve() in skipped:
                continue
            if is_label_folder(entry.name):
                passed_over[f"{path}/"] = "a folder of this name holds labels, no images"
            elif entry.is_symlink():
                passed_over[f"{path}/"] = "a link to a folder is not followed: put the images themselves there"
            else:
                yield from _images_below(folder / entry.name, f"{path}/", skipped, passed_over)
        elif not entry.is_file():
            passed_over[path] = "a link that leads nowhere, or no file: remove it"
        elif (reason := no_image(entry.name)) is None:
            names.append(entry.name)
        elif reason:
            passed_over[path] = reason
    others = _Stems(names)
    for name in names:
        if others.hold_image_of(name):
            passed_over[f"{below}{name}"] = "by its name a label of an image beside it: it belongs into labels/final"
        else:
            yield f"{below}{name}"


class _Stems:
    """The names of a folder's images, without those that say that they are labels."""

    def __init__(self, names: Iterable[str]) -> None:
        stems = [stem for stem in map(stem_of, names) if not any(label_words_off(stem))]
        self._rising = sorted(stems)
        self._backwards = sorted(stem[::-1] for stem in stems)

    def hold_image_of(self, name: str) -> bool:
        """Whether a file is a label by its name, and an image that begins or ends as it does is there."""
        return any(
            _one_starts_with(self._rising if is_start else self._backwards, rest if is_start else rest[::-1])
            for rest, is_start in label_words_off(stem_of(name))
        )


def _one_starts_with(rising: Sequence[str], start: str) -> bool:
    place = bisect_left(rising, start)
    return place < len(rising) and rising[place].startswith(start)


def _labels_below(folder: Path, below: str, passed_over: dict[str, str]) -> Iterator[str]:
    for entry in _entries(folder) if folder.is_dir() else ():
        path = f"{below}{entry.name}"
        if not _is_utf8(entry.name):
            passed_over[ascii(path)[1:-1]] = "the name is not UTF-8: rename it"
        elif entry.is_dir():
            yield from _labels_below(folder / entry.name, f"{path}/", passed_over)
        elif entry.is_file():
            # A segmentation of 3D Slicer is no image, but it is a label.
            reason = no_image(f"{stem_of(entry.name)}{ending_of(entry.name)}")
            if reason is None:
                yield path
            elif reason:
                passed_over[path] = reason


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What a folder holds that is not hidden, by name."""
    with os.scandir(folder) as entries:
        return sorted((entry for entry in entries if not is_hidden(entry.name)), key=lambda entry: entry.name)


def _is_ours(entry: os.DirEntry[str], below: str) -> bool:
    return (not below and entry.name in _OWN_FOLDERS) or Path(entry.path, LEDGER_FILE).is_file()


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _with_ids(paths: Collection[str], known: Mapping[str, str]) -> dict[str, str]:
    there = set(paths)
    given = {image_id: path for image_id, path in known.items() if path in there}
    new = there - set(given.values())
    for path in sorted(new, key=lambda path: (path.count("/"), _preference(path), path)):
        given[next(candidate for candidate in image_ids(path) if candidate not in given)] = path
    return given


def _preference(path: str) -> int:
    return ENDINGS.index(ending_of(path).lower())


def _line(paths: list[str], reason: str) -> str:
    shown = ", ".join(paths[:_NAMES_IN_A_LINE])
    more = f" and {len(paths) - _NAMES_IN_A_LINE} more" if len(paths) > _NAMES_IN_A_LINE else ""
    return f"{len(paths)} passed over ({shown}{more}): {reason}"
