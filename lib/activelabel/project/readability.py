"""Reads the images of a project; cases that cannot be used are set aside until they are mended.

All code that reads an image of the project uses this module. An error while a case is read concerns only this case: its
reason and the state of its files are recorded in the ledger, and a change of the files brings the case back.
"""

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

from activelabel.data.files.one_case import for_want_of_memory, one_case
from activelabel.data.files.volumes import Volume, read_grid, read_volume
from activelabel.data.grids import Grid
from activelabel.data.intensities import Intensities, measure_intensities, odd_ones
from activelabel.data.preprocessing import PreparedImage, check_prepared_size, prepare_image
from activelabel.errors import ActiveLabelError, InvalidInputError, NotFoundError
from activelabel.project.images import Images
from activelabel.recipes import PreprocessingSettings
from activelabel.store.ledger import Ledger
from activelabel.store.records import Annotation, Image

logger = logging.getLogger(__name__)

COMPARED = 64
"""The number of other images with which the intensities of a new image are compared."""


def read_case(image_id: str, path: Path | str, ledger: Ledger) -> Volume:
    """An image of the project, whose current content is recorded in the ledger.

    Raises:
        InvalidInputError: the image cannot be read, or is not the one on which its label was drawn.
    """
    with one_case(image_id):
        volume = read_volume(path)
        note_image(image_id, Path(path), ledger, volume)
        check_unchanged(image_id, ledger)
        return volume


def prepare_case(
    image_id: str, path: Path | str, ledger: Ledger, settings: PreprocessingSettings
) -> tuple[Volume, PreparedImage]:
    """An image as `read_case` returns it, and the network's input made from it.

    Raises:
        InvalidInputError: `read_case` raises it, or the image cannot be resampled.
    """
    volume = read_case(image_id, path, ledger)
    with one_case(image_id):
        return volume, prepare_image(volume, settings)


def note_image(image_id: str, path: Path, ledger: Ledger, volume: Volume | None = None) -> None:
    """Record the content of an image's file in the ledger, unless size and time, or the digest, are unchanged.

    An image whose intensities differ from those of the others is logged.

    Raises:
        InvalidInputError: the image cannot be read.
    """
    status, known = path.stat(), ledger.image(image_id)
    if (known.file_size, known.file_modified_ns) == (status.st_size, status.st_mtime_ns):
        return
    volume = volume or read_volume(path)
    intensities = measure_intensities(volume.array)
    ledger.record_file(image_id, content_sha256(volume), status.st_size, status.st_mtime_ns, intensities.as_tuple())
    others = dict(list(known_intensities(ledger).items())[:COMPARED])
    odd = odd_ones({**others, image_id: intensities}).get(image_id)
    if odd is not None:
        logger.warning("%s: %s", image_id, odd)


def check_unchanged(image_id: str, ledger: Ledger) -> None:
    """Check that, according to the ledger, an image is the one on which its label was drawn.

    Raises:
        InvalidInputError: it is another one.
    """
    label = ledger.current_annotation(image_id)
    if label is not None:
        require_same_image(label, ledger.image(image_id).content_sha256)


def require_same_image(label: Annotation, content: str | None) -> None:
    """Check that an image of this content, if it is known, is the one on which a label was drawn.

    Raises:
        InvalidInputError: it is another one.
    """
    if label.image_sha256 is None or content in (None, label.image_sha256):
        return
    raise InvalidInputError(
        f"{label.image_id}: its image has changed since its label was drawn ({label.created_at:%Y-%m-%d}), so that "
        "nothing is learnt from it: put the earlier file back, or draw its label again on this one"
    )


def content_sha256(volume: Volume) -> str:
    """The SHA-256 of an image's shape and voxels, which does not depend on the compression of the file."""
    digest = hashlib.sha256(repr(volume.array.shape).encode())
    digest.update(np.ascontiguousarray(volume.array).data)
    return digest.hexdigest()


def known_intensities(ledger: Ledger) -> dict[str, Intensities]:
    """The intensities of the images that were read."""
    return {image.id: Intensities(*image.intensities) for image in ledger.images() if image.intensities is not None}


def set_aside_unreadable(
    image_id: str,
    datastore: Images,
    ledger: Ledger,
    *,
    was_scored: bool,
    preprocessing: PreprocessingSettings | None = None,
) -> bool:
    """Whether an image must not be asked for; an image that cannot be used is set aside in the ledger.

    A file or series that vanished a moment ago is not set aside: the datastore will notice by itself.

    Args:
        image_id: the image whose file is checked.
        datastore: the datastore that has the file.
        ledger: the ledger in which the image is set aside.
        was_scored: scoring has read every voxel of it, so that reading its header is enough.
        preprocessing: the settings for resampling it; None not to resample it.
    """
    try:
        path = datastore.get_image_uri(image_id)
        if not path or not Path(path).exists():
            return True
        with one_case(image_id):
            grid = _usable_grid(image_id, Path(path), ledger, was_scored)
            if preprocessing is not None:
                check_prepared_size(grid, preprocessing, image_id)
    except NotFoundError as error:
        logger.warning("%s is not asked for: %s", image_id, error)
        return True
    except InvalidInputError as error:
        set_aside(image_id, error, ledger, datastore)
        return True
    return False


def set_aside(
    image_id: str, error: ActiveLabelError, ledger: Ledger, datastore: Images, label: Path | None = None
) -> None:
    """Record that an image, or its `label`, cannot be used, so that the work can go on without it.

    A lack of memory holds only until the next start, because it can end without a change of the files.
    """
    try:
        path = Path(datastore.get_image_uri(image_id))
        stamp = None if for_want_of_memory(error) else stamp_of(path, label)
    except ActiveLabelError:
        stamp = None
    ledger.mark_unreadable(image_id, str(error), stamp)
    logger.warning("%s is set aside: %s", image_id, error)


def readmit_mended(
    ledger: Ledger,
    image_file: Callable[[str], str],
    label_file: Callable[[Annotation], Path],
    *,
    at_start: bool = False,
) -> None:
    """Readmit images that were set aside and whose files, or whose labels' files, have changed since.

    Images without a recorded state of their files are readmitted at each start. An image whose file is unknown stays.
    """
    for image in ledger.images_set_aside():
        path = image_file(image.id)
        if not path:
            continue
        label = ledger.current_annotation(image.id)
        again = at_start and image.set_aside_stamp is None
        if again or may_be_mended(image, Path(path), None if label is None else label_file(label)):
            ledger.mark_readable(image.id)
            logger.info("%s was set aside and is looked at again", image.id)


def may_be_mended(image: Image, path: Path, label: Path | None) -> bool:
    """Whether the files of an image that was set aside have changed since.

    If the state of the files was not recorded, whether the image is newer than the record.
    """
    if image.unreadable_at is None or not path.exists():
        return False
    if image.set_aside_stamp is None:
        return path.stat().st_mtime > image.unreadable_at.timestamp()
    return image.set_aside_stamp not in (stamp_of(path), stamp_of(path, label))


def has_changed(image: Image, path: Path) -> bool:
    """Whether size or time of a file differ from those at its last reading, if there was one."""
    if image.file_size is None or not path.exists():
        return False
    status = path.stat()
    return (image.file_size, image.file_modified_ns) != (status.st_size, status.st_mtime_ns)


def stamp_of(*files: Path | None) -> str:
    """Size and time of files; a missing file adds nothing."""
    return "; ".join(_stamp(file) for file in files if file is not None)


def _stamp(file: Path) -> str:
    try:
        status = file.stat()
    except OSError:
        return "missing"
    return f"{status.st_size} {status.st_mtime_ns}"


def _usable_grid(image_id: str, path: Path, ledger: Ledger, was_scored: bool) -> Grid:
    grid = read_grid(path)
    if not was_scored or has_changed(ledger.image(image_id), path):
        note_image(image_id, path, ledger)
    check_unchanged(image_id, ledger)
    return grid
