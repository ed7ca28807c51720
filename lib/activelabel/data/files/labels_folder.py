"""The label files of a folder, each with the image it belongs to. Names alone decide; no file is opened."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from activelabel.data.files.folder_entries import shown_entries
from activelabel.data.files.links import LINKS_OUT, is_link_out, leads_out
from activelabel.data.files.names import (
    ending_of,
    is_dicom,
    labelled_ids,
    no_image,
    plain_id,
    preference,
    spelt,
    stem_of,
)
from activelabel.data.files.studies_folder import LABEL_ENDING, FolderContent


def find_labels(
    folder: Path, images: Mapping[str, str], within: Path | None = None, without: Collection[Path] = ()
) -> FolderContent:
    """The label files in a folder and its sub-folders, by the id of their image.

    A label belongs to the image of its name, or of its name without a word for label, as in `case_seg.nii.gz`.

    Args:
        folder: the folder to search; it need not exist.
        images: paths of the images below their folder, by id.
        within: no link is followed out of this folder.
        without: files that are no labels, such as the images themselves where they lie in the same folder.
    """
    passed_over: dict[str, str] = {}
    found = list(_labels_below(folder, "", passed_over, within))
    by_path, spelt_as = dict[str, str](), dict[str, str]()
    if odd := {path for path in found if not _is_servers(path, images)}:  # of a million images no other is looked at
        by_path = {path: image_id for image_id, path in images.items() if path in odd}
        spelt_as = {spelt(image_id): image_id for image_id in images if not image_id.isascii()}
    owners = [(path, _owner(path, images, by_path, spelt_as)) for path in found]
    owners = [(path, owner) for path, owner in owners if folder / path not in without]
    files: dict[str, str] = {}
    more: dict[str, str] = {}
    for path, (_, owner) in sorted(owners, key=lambda item: (item[1][0], preference(item[0]), item[0])):
        if owner is None:
            passed_over[path] = "no image is called so: name the label as its image"
        elif owner in files:
            more[path] = owner
        else:
            files[owner] = path
    return FolderContent(folder, dict(sorted(files.items())), passed_over, more)


def _owner(
    path: str, images: Mapping[str, str], by_path: Mapping[str, str], spelt_as: Mapping[str, str]
) -> tuple[int, str | None]:
    """The image to which a label file belongs, after its place among the ids its name may mean, likeliest first.

    `spelt_as` has the ids with accents by their one spelling, as a disk may give the file's name in another one.
    """
    if _is_servers(path, images):
        return 0, plain_id(path)
    plain = _known_as(plain_id(path), spelt_as)
    if plain in images and path.endswith(LABEL_ENDING):
        return 0, plain
    if path in by_path:
        return 1, by_path[path]
    for place, candidate in enumerate(labelled_ids(path), start=2):
        image_id = _known_as(candidate, spelt_as)
        if image_id in images:
            return place, image_id
    return 0, None


def _is_servers(path: str, images: Mapping[str, str]) -> bool:
    """Whether a server names its own labels so."""
    return path.endswith(LABEL_ENDING) and plain_id(path) in images


def _known_as(image_id: str, spelt_as: Mapping[str, str]) -> str:
    return image_id if image_id.isascii() else spelt_as.get(spelt(image_id), image_id)


def label_files(folder: Path, within: Path | None = None) -> list[Path]:
    """All possible label files in a folder and its sub-folders, of any image; none if the folder does not exist.

    No link out of `within` is followed.
    """
    return [folder / path for path in _labels_below(folder, "", {}, within)]


def _labels_below(folder: Path, below: str, passed_over: dict[str, str], within: Path | None) -> Iterator[str]:
    if within is not None and folder.is_dir() and leads_out(folder, within):
        passed_over[below] = LINKS_OUT
        return
    for entry in shown_entries(folder, below, passed_over) if folder.is_dir() else ():
        path = f"{below}{entry.name}"
        if is_link_out(entry, within):
            if entry.is_dir() or is_dicom(entry.name) or no_image(entry.name) != "":
                passed_over[f"{path}/" if entry.is_dir() else path] = LINKS_OUT
        elif entry.is_dir():
            yield from _labels_below(folder / entry.name, f"{path}/", passed_over, within)
        elif entry.is_file():
            # Segmentations of 3D Slicer and DICOM objects are labels, though not images.
            reason = None if is_dicom(entry.name) else no_image(f"{stem_of(entry.name)}{ending_of(entry.name)}")
            if reason is None:
                yield path
            elif reason:
                passed_over[path] = reason
