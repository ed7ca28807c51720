"""The files below a folder that an id may be of: so one image is found without reading the names of a million."""

import os
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from activelabel.data.files.names import BETWEEN_FOLDERS, LONGEST_ID, NIFTI_ENDINGS, is_one_name

_SPELT_ENDINGS = (
    *NIFTI_ENDINGS,
    *(ending.upper() for ending in NIFTI_ENDINGS),
    ".mha",
    *(f".{''.join(letters)}" for letters in product(*zip("nrrd", "NRRD", strict=True))),
)
"""The endings of images, each in every spelling that Slicer opens."""
_NOT_FIRST = re.compile(
    r"(?P<stem>.+?)((_nii|_nii_gz|_mha|_nrrd)(_[0-9a-f]{8})?|_[0-9a-f]{64})", re.IGNORECASE | re.DOTALL
)
"""An id of a file whose first one another file has (`names.image_ids`)."""
_CUT = 3
"""By so many bytes at most an id that was too long is shorter than the longest: no letter is cut in two."""


def files_of_id(image_id: str, folder: Path) -> list[str] | None:
    """The paths of those files below a folder, now there, to which `names.image_ids` may give this id.

    None if only the names of all files can tell: some are spelt otherwise, or too long to be read from the id, or the
    folder knows no case, as on many a share: there the file of each of these paths may be spelt otherwise.
    """
    if not image_id.isascii() or len(image_id) >= LONGEST_ID - _CUT:
        return None
    if not image_id.isprintable() or not is_one_name(image_id):
        return []
    later = _NOT_FIRST.fullmatch(image_id)
    stems = [image_id] if later is None else [image_id, later["stem"]]
    paths = [path for stem in stems for path in _files_called(stem.split(BETWEEN_FOLDERS), str(folder), "")]
    return None if any(_lies_there_in_other_case(path, str(folder)) for path in paths) else paths


def _files_called(parts: list[str], folder: str, start: str) -> Iterator[str]:
    """The files whose path, without its ending, has these parts with a slash or `BETWEEN_FOLDERS` between them."""
    stem = BETWEEN_FOLDERS.join(parts)
    yield from (f"{start}{stem}{end}" for end in _SPELT_ENDINGS if os.path.lexists(os.path.join(folder, stem + end)))
    for count in range(1, len(parts)):
        name = BETWEEN_FOLDERS.join(parts[:count])
        below = os.path.join(folder, name)
        if name not in ("", ".", "..") and os.path.isdir(below):
            yield from _files_called(parts[count:], below, f"{start}{name}/")


def _lies_there_in_other_case(path: str, folder: str) -> bool:
    """Whether something is found if one of the names of a path is spelt with its other letters, large or small."""
    place = folder
    for name in path.split("/"):
        other = name.swapcase()
        if other != name and os.path.lexists(os.path.join(place, other)):
            return True
        place = os.path.join(place, name)
    return False
