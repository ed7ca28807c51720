"""A small file beside each label and each mask that a model showed: the digests of its slices.

The file is written after the label, completely or not at all. If it is missing (after a kill in between, or because an
earlier version kept the label) or belongs to other content, the label is read once and the file is rewritten.
"""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from activelabel.data.files.state import stamp_of
from activelabel.data.files.studies_folder import LABEL_ENDING
from activelabel.data.files.writing import write_atomically
from activelabel.data.grids import Grid
from activelabel.data.labels.arrays import LabelArray
from activelabel.data.slice_digests import DIGEST_FORMAT, SliceDigests, slice_digests

logger = logging.getLogger(__name__)

ENDING = ".slices"
FORMAT = f"activelabel slice digests {DIGEST_FORMAT}"


def digest_file(label: Path) -> Path:
    """The path of the digests of a label's slices."""
    return label.with_name(f"{label.name.removesuffix(LABEL_ENDING)}{ENDING}")


def kept_digests(label: Path, image: Grid, axis: int, read: Callable[[], LabelArray]) -> SliceDigests:
    """The digests of a label's slices: those in the file beside it if they belong to this label, else computed now.

    Args:
        label: the file of the label.
        image: the grid of the label's image.
        axis: the axis along which slices are counted.
        read: reads the label onto that grid if no digests of it are kept.

    Raises:
        InvalidInputError: `read` raises it.
    """
    stamp = stamp_of(label)
    known = _content(digest_file(label))
    if known is not None and known.get("label") == _identity(stamp, image, axis):
        return tuple(map(str, known["slices"]))
    digests = slice_digests(read(), axis)
    keep_digests(label, stamp, image, axis, digests)
    return digests


def keep_digests(label: Path, stamp: str, image: Grid, axis: int, digests: SliceDigests) -> None:
    """Write the digests of a label in the state `stamp`, by `stamp_of`; other arguments are as in `kept_digests`."""
    content = {"format": FORMAT, "label": _identity(stamp, image, axis), "slices": digests}
    try:
        write_atomically(digest_file(label), json.dumps(content).encode(), lasting=False, whole=False)
    except OSError as error:  # The label itself is kept; without digests it is read again the next time.
        logger.warning("%s: cannot be written (%s): the label is read again the next time", digest_file(label), error)


def _identity(stamp: str, image: Grid, axis: int) -> dict[str, Any]:
    """The values that must be equal for digests to belong to a label."""
    return {
        "stamp": stamp,
        "shape": list(image.shape),
        "affine_ras": image.affine_ras.tolist(),
        "axis": axis,
    }


def _content(file: Path) -> dict[str, Any] | None:
    """The content of a file of digests; None if it is missing or damaged, as after a power cut."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    is_whole = isinstance(content, dict) and content.get("format") == FORMAT and isinstance(content.get("slices"), list)
    return content if is_whole else None
