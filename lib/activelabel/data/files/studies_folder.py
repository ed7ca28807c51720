"""The images of a folder, each with its id, and each file that was passed over, with the reason.

The datastore, `doctor`, `score` and `simulate` all use this module, so that they agree. Names alone decide; no file is
opened.
"""

import os
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from activelabel.analysis.harmless_text import in_one_line
from activelabel.data.files.channels import ONE_CHANNEL, ChannelLayout
from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.links import LINKS_OUT, is_link_out
from activelabel.data.files.names import (
    image_ids,
    is_hidden,
    is_label_folder,
    label_words_off,
    no_image,
    preference,
    stem_of,
)

PROJECT_FOLDER = "activelabel"
"""The folder below the images in which a server keeps its project by default."""
LEDGER_FILE = "ledger.sqlite"
LABEL_ENDING = ".nii.gz"
"""The ending of every label that a server keeps."""
TRAINING_IMAGES, TEST_IMAGES = "imagesTr", "imagesTs"
"""Folders of the Medical Segmentation Decathlon and of nnU-Net."""
_OWN_FOLDERS = ("labels", PROJECT_FOLDER)
_NAMES_IN_A_LINE = 5
DOUBLE = "another label of the same image is used: leave one"


@dataclass(frozen=True)
class FolderContent:
    """Files by image id, either the images or their labels, with paths below the folder.

    Attributes:
        folder: the folder that was searched.
        files: paths below the folder by id, sorted.
        passed_over: by path, the reason why a file or folder is not used.
        more: for labels, the image id of each label, by its path, whose image has another label in `files`.
        layout: for images, how their channels lie in files.
    """

    folder: Path
    files: Mapping[str, str]
    passed_over: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, str] = field(default_factory=dict)
    layout: ChannelLayout = ONE_CHANNEL

    @property
    def unused(self) -> dict[str, str]:
        """By path, the reason why files are not used if each image needs only one label."""
        return {**self.passed_over, **dict.fromkeys(self.more, DOUBLE)}

    def path(self, image_id: str) -> Path:
        """The path of the file of an id; of an image with several, the one of the channel that is shown."""
        return self.folder / self.files[image_id]

    def image(self, image_id: str) -> ImageFiles:
        """All files of an image."""
        return self.layout.files(self.path(image_id))

    def lines(self) -> list[str]:
        """One line for each reason: the number of files that were passed over for it, and their names."""
        return lines_on(self.passed_over)


def lines_on(passed_over: Mapping[str, str]) -> list[str]:
    """One line for each reason: `2 passed over (old.hdr, old.img): ...`."""
    by_reason = defaultdict(list)
    for path, reason in sorted(passed_over.items()):
        by_reason[reason].append(path)
    return [_line(paths, reason) for reason, paths in sorted(by_reason.items())]


def find_images(
    folder: Path,
    known: Mapping[str, str] | None = None,
    without: Collection[Path] = (),
    *,
    links_out: bool = False,
    layout: ChannelLayout = ONE_CHANNEL,
) -> FolderContent:
    """The images in a folder and its sub-folders.

    Hidden files, the host's folder of labels, project folders and files unlike images are skipped without a reason.

    Args:
        folder: must exist.
        known: paths below the folder by id, as found earlier; files keep these ids as long as they exist.
        without: folders with other content, which are not searched.
        links_out: whether to take links to files outside of the folder too.
        layout: how the channels of an image lie in files; an image without one of them is passed over.
    """
    passed_over: dict[str, str] = {}
    skipped = {path.resolve() for path in without}
    there = list(_images_below(folder, "", skipped, passed_over, None if links_out else folder))
    # A project that began with the test images among its own goes on with them.
    for test_folder in [path for path in passed_over if path.endswith(f"{TEST_IMAGES}/")]:
        if any(path.startswith(test_folder) for path in (known or {}).values()):
            del passed_over[test_folder]
            there += _images_below(
                folder / test_folder, test_folder, skipped, passed_over, None if links_out else folder
            )
    found, unused = layout.grouped(there)
    files = dict(sorted(_with_ids(found, known or {}, layout).items()))
    return FolderContent(folder, files, {**passed_over, **unused}, layout=layout)


def _images_below(
    folder: Path, below: str, skipped: Collection[Path], passed_over: dict[str, str], within: Path | None
) -> Iterator[str]:
    """Paths of images below `folder`; `below` is the path of `folder` below the first folder."""
    names = []
    entries = shown_entries(folder, below, passed_over)
    beside = {entry.name for entry in entries}
    for entry in entries:
        path = f"{below}{entry.name}"
        if entry.is_dir():
            if not _is_ours(entry, below) and Path(entry.path).resolve() not in skipped:
                reason = _not_entered(entry, beside)
                if reason is None:
                    yield from _images_below(folder / entry.name, f"{path}/", skipped, passed_over, within)
                else:
                    passed_over[f"{path}/"] = reason
        elif (reason := _not_taken(entry, within)) is None:
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


def shown_entries(folder: Path, below: str, passed_over: dict[str, str]) -> list[os.DirEntry[str]]:
    """The entries of a folder, sorted, without hidden ones and names that cannot be sent."""
    with os.scandir(folder) as entries:
        shown = sorted((entry for entry in entries if not is_hidden(entry.name)), key=lambda entry: entry.name)
    for entry in shown:
        if not _is_utf8(entry.name):
            passed_over[ascii(f"{below}{entry.name}")[1:-1]] = "its name is not UTF-8: rename it"
    return [entry for entry in shown if _is_utf8(entry.name)]


def _not_entered(entry: os.DirEntry[str], beside: Collection[str]) -> str | None:
    """The reason why a folder is not searched for images, going by its name and those beside it."""
    if is_label_folder(entry.name):
        return "a folder of this name holds labels, no images"
    if entry.name == TEST_IMAGES and TRAINING_IMAGES in beside:
        return f"beside {TRAINING_IMAGES} it holds the test images of a data set, which nothing may be learnt from"
    return "a link to a folder is not followed: put the images themselves there" if entry.is_symlink() else None


def _not_taken(entry: os.DirEntry[str], within: Path | None) -> str | None:
    """The reason why a file is no image; "" for a file that needs no reason."""
    if not entry.is_file():
        return "a link that leads nowhere, or no file: remove it"
    reason = no_image(entry.name)
    return LINKS_OUT if reason is None and is_link_out(entry, within) else reason


def _is_ours(entry: os.DirEntry[str], below: str) -> bool:
    return (not below and entry.name in _OWN_FOLDERS) or Path(entry.path, LEDGER_FILE).is_file()


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _with_ids(paths: Collection[str], known: Mapping[str, str], layout: ChannelLayout) -> dict[str, str]:
    there = set(paths)
    given = {image_id: path for image_id, path in known.items() if path in there}
    new = sorted(there - set(given.values()), key=lambda path: (path.count("/"), preference(path), path))
    late = []
    # Names of folders are made of ids, and where a file system does not tell `A` from `a`, two of these would be one.
    taken = {image_id.casefold() for image_id in given}
    for path in new:
        first = next(image_ids(layout.name_of(path)))
        if first.casefold() in taken:
            late.append(path)
        else:
            given[first] = path
            taken.add(first.casefold())
    for path in late:  # only now, so that they take no id that another file would get first
        image_id = next(candidate for candidate in image_ids(layout.name_of(path)) if candidate.casefold() not in taken)
        given[image_id] = path
        taken.add(image_id.casefold())
    return given


def _line(paths: list[str], reason: str) -> str:
    shown = ", ".join(in_one_line(path) for path in paths[:_NAMES_IN_A_LINE])
    more = f" and {len(paths) - _NAMES_IN_A_LINE} more" if len(paths) > _NAMES_IN_A_LINE else ""
    return f"{len(paths)} passed over ({shown}{more}): {reason}"
