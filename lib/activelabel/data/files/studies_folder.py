"""The images of a folder, each with its id, and each file that was passed over, with the reason.

The datastore, `doctor`, `score` and `simulate` all use this module, so that they agree. Names alone decide; no file is
opened.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from activelabel.analysis.harmless_text import in_one_line
from activelabel.data.files.channels import ONE_CHANNEL, ChannelLayout
from activelabel.data.files.folder_reading import FolderReading
from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.many.path_set import difference
from activelabel.data.files.many.path_table import PathTable
from activelabel.data.files.many.plain_ids import plain_table, with_changes
from activelabel.data.files.names import BETWEEN_FOLDERS, first_id, folded, image_ids, preference, spelt

LABEL_ENDING = ".nii.gz"
"""The ending of every label that a server keeps."""
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
        reading: for images, what was read, so that a change can be read alone.
    """

    folder: Path
    files: Mapping[str, str]
    passed_over: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, str] = field(default_factory=dict)
    layout: ChannelLayout = ONE_CHANNEL
    reading: FolderReading | None = field(default=None, repr=False, compare=False)

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

    Raises:
        OSError: a folder cannot be read, so that nobody can say what is in it. Only a sub-folder for which this process
            has no permission, and in which there is no known image, is passed over.
    """
    paths = () if known is None else known.values()
    kept = set[str]()
    while True:
        reading = FolderReading(folder, without, links_out, frozenset(kept))
        reading.read()
        reading.check_reachable(paths)
        more = reading.known_to_keep(paths)
        if not more:
            return _content_of(reading, known or {}, layout)
        kept |= more


def holds_images(folder: Path) -> bool:
    """Whether `find_images` finds any in a folder, mostly without reading all of it. Raises as it does."""
    found = FolderReading(folder).holds_images()
    return bool(find_images(folder).files) if found is None else found


def find_changed(content: FolderContent, changed: Collection[str], known: Mapping[str, str]) -> FolderContent | None:
    """What `find_images` finds, reading only what has changed since it, or this function, has found `content`.

    `changed` are paths below the folder, with all that is below them. None: what has changed concerns so much that all
    must be read. It is `content` itself if nothing is otherwise than before.
    """
    reading = content.reading
    if reading is None:
        return None
    before, passed_over = reading.images.by_folder(), dict(reading.passed_over)
    if not reading.read_again(changed):
        return None
    came, gone = difference(before, reading.images.by_folder())
    if not came and not gone and passed_over == reading.passed_over:
        return content
    reading.check_reachable(known.values())
    if reading.known_to_keep(known.values()):
        return None
    files = None if content.layout else with_changes(content.files, known, came, gone)
    if files is None:
        return _content_of(reading, known, content.layout)
    return replace(content, files=files, passed_over=dict(reading.passed_over))


def _content_of(reading: FolderReading, known: Mapping[str, str], layout: ChannelLayout) -> FolderContent:
    """The images of a folder that was read; `known` and `layout` are as in `find_images`."""
    if not layout and (table := plain_table(reading.images.by_folder(), known)) is not None:
        return FolderContent(reading.folder, table, dict(reading.passed_over), layout=layout, reading=reading)
    found, unused = layout.grouped(reading.images)
    given = _with_ids(found, known, layout)
    files = PathTable.of(given)
    return FolderContent(reading.folder, files, {**reading.passed_over, **unused}, layout=layout, reading=reading)


def _with_ids(paths: Collection[str], known: Mapping[str, str], layout: ChannelLayout) -> dict[str, str]:
    there = set(paths)
    given = {image_id: path for image_id, path in known.items() if path in there}
    new = sorted(sorted(there.difference(given.values())), key=lambda path: (path.count("/"), preference(path)))
    late = []
    # Names of folders are made of ids, and where a file system does not tell `A` from `a`, two of these would be one.
    taken = {folded(image_id) for image_id in given}
    for path in new:
        first = first_id(layout.name_of(path))
        if folded(first) in taken:
            late.append(path)
        else:
            given[first] = path
            taken.add(folded(first))
    for path in late:  # only now, so that they take no id that another file would get first
        image_id = next(candidate for candidate in image_ids(layout.name_of(path)) if folded(candidate) not in taken)
        given[image_id] = path
        taken.add(folded(image_id))
    return given


def alike_line(files: Mapping[str, str], new: Mapping[str, str] | None = None) -> str | None:
    """One line on images whose paths differ only in case or in the spelling of accents; None if all differ more.

    Args:
        files: the paths of all images, by id.
        new: the paths of those that came, by id; None for all.
    """
    # One of two such images has not got the id that its path gives it. So it is of few, and the others are passed fast.
    if isinstance(files, PathTable) and files.are_plain:
        return None
    asked = files if new is None else new
    others = (path for id_, path in asked.items() if not spelt(path.replace("/", BETWEEN_FOLDERS)).startswith(id_))
    forms = {folded(path) for path in others}
    by_form = defaultdict[str, list[str]](list)
    for path in files.values() if forms else ():
        if (form := folded(path)) in forms:
            by_form[form].append(path)
    alike = sorted(" and ".join(sorted(same)) for same in by_form.values() if len(same) > 1)
    if not alike:
        return None
    return (
        f"{names_of(alike)}: their names differ only in case or in how accents are spelt, and other disks take them "
        "for one: each is an image with an id of its own; remove what is a copy"
    )


def names_of(paths: Sequence[str]) -> str:
    """The first of these names, and how many more there are."""
    shown = ", ".join(in_one_line(path) for path in paths[:_NAMES_IN_A_LINE])
    return shown + (f" and {len(paths) - _NAMES_IN_A_LINE} more" if len(paths) > _NAMES_IN_A_LINE else "")


def _line(paths: list[str], reason: str) -> str:
    return f"{len(paths)} passed over ({names_of(paths)}): {reason}"
