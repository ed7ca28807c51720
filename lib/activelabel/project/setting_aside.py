"""Sets aside the cases of a project that cannot be used, until they are mended.

The reason and the state of the files are recorded in the ledger, and a change of the files brings the case back.
"""

import logging
from collections.abc import Callable
from pathlib import Path

from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.one_case import for_want_of_memory, one_case
from activelabel.data.files.state import is_of_stamp, stamp_of
from activelabel.data.grids import Grid
from activelabel.data.preprocessing import check_prepared_size
from activelabel.data.volumes import read_grid, read_volume
from activelabel.errors import ActiveLabelError, InvalidInputError, NotFoundError, SetAsideError, UnavailableError
from activelabel.project.images import Images
from activelabel.project.readability import has_changed, note_image, require_same_image
from activelabel.recipes import PreprocessingSettings
from activelabel.store.ledger import Ledger
from activelabel.store.records.images import Image
from activelabel.store.records.labels import Annotation

logger = logging.getLogger(__name__)

FOR_MEMORY = "for want of memory"
"""Instead of the state of its files, of an image that may be usable at the next start."""


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
        image = datastore.image_files(image_id)
        if not image.path.name or not image.exists():
            return True
        with one_case(image_id):
            grid = _usable_grid(image_id, image, ledger, was_scored)
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

    A lack of memory holds only until the next start, because it can end without a change of the files. What its PACS
    has recorded when it was asked for stays as it is, and it is not asked again.

    Raises:
        UnavailableError: its folder or PACS does not answer now, so that the error may be no fault of the image.
    """
    if isinstance(error, SetAsideError):
        logger.warning("%s is set aside: %s", image_id, error)
        return
    try:
        image = datastore.image_files(image_id)
        stamp = FOR_MEMORY if for_want_of_memory(error) else stamp_of(*image.paths, label)
    except UnavailableError as unavailable:
        raise unavailable from error
    except ActiveLabelError:
        stamp = None
    ledger.mark_unreadable(image_id, str(error), stamp)
    logger.warning("%s is set aside: %s", image_id, error)


def readmit_mended(
    ledger: Ledger,
    files_of: Callable[[str], ImageFiles | None],
    label_file: Callable[[Annotation], Path],
    *,
    at_start: bool = False,
) -> None:
    """Readmit images that were set aside and whose files, or whose labels' files, have changed since.

    Images without a recorded state of their files, and those for which the memory was too small, are readmitted at each
    start. An image whose files are unknown stays.
    """
    for image in ledger.images_set_aside():
        files = files_of(image.id)
        if files is None:
            continue
        label = ledger.current_annotation(image.id)
        again = at_start and image.set_aside_stamp in (None, FOR_MEMORY)
        if again or may_be_mended(image, files, None if label is None else label_file(label)):
            ledger.mark_readable(image.id)
            logger.info("%s was set aside and is looked at again", image.id)


def readmit_for_memory(ledger: Ledger) -> None:
    """Readmit images for which the memory was too small, whatever their files are: there may be more by now."""
    for image in ledger.images_set_aside():
        if image.set_aside_stamp == FOR_MEMORY:
            ledger.mark_readable(image.id, FOR_MEMORY)
            logger.info("%s was set aside for want of memory and is looked at again", image.id)


def may_be_mended(image: Image, files: ImageFiles, label: Path | None) -> bool:
    """Whether the files of an image that was set aside have changed since.

    If the state of the files was not recorded, whether the image is newer than the record.
    """
    if image.unreadable_at is None or not files.exists():
        return False
    if image.set_aside_stamp in (None, FOR_MEMORY):
        newest = max(path.stat().st_mtime for path in files.paths if path.exists())
        return newest > image.unreadable_at.timestamp()
    stamp = image.set_aside_stamp
    return not is_of_stamp(stamp, *files.paths) and not is_of_stamp(stamp, *files.paths, label)


def _usable_grid(image_id: str, image: ImageFiles, ledger: Ledger, was_scored: bool) -> Grid:
    grid = read_grid(image)
    missing = not image.all_exist()
    known, label = ledger.image_and_label(image_id)
    if missing or not was_scored or has_changed(known, image):
        note_image(image_id, image, ledger, read_volume(image) if missing else None)
        known, label = ledger.image_and_label(image_id)
    if label is not None:
        require_same_image(label, known.content_sha256)
    elif known.content_sha256 is not None:
        copy = ledger.annotated_copy(image_id, known.content_sha256)
        if copy is not None:
            logger.warning(
                "%s: it has the voxels of '%s', which is annotated: remove one of them, or skip it as one that cannot "
                "be annotated",
                image_id,
                copy,
            )
    return grid
