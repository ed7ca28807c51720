"""Images that cannot be read: set aside with the reason, before an annotator is asked or when somebody needs them."""

import logging
from functools import lru_cache
from pathlib import Path

from monailabel.interfaces.datastore import Datastore

from activelabel.data.volumes import read_grid, read_volume
from activelabel.errors import InvalidInputError, NotFoundError
from activelabel.store.ledger import Ledger

logger = logging.getLogger(__name__)


def set_aside_unreadable(image_id: str, datastore: Datastore, ledger: Ledger, *, was_scored: bool) -> bool:
    """Whether an image must not be asked for; one that cannot be read is recorded as such in the ledger.

    A file or series that vanished a moment ago is not recorded: the datastore will notice by itself.

    Args:
        image_id: whose file is looked at.
        datastore: where it is.
        ledger: where it is recorded.
        was_scored: scoring has read every voxel of it, so that its header is enough.
    """
    try:
        path = datastore.get_image_uri(image_id)
        if not path or not Path(path).exists():
            return True
        status = Path(path).stat()
        problem = _problem(path, status.st_mtime_ns, status.st_size, not was_scored)
    except NotFoundError as error:
        logger.warning("%s is not asked for: %s", image_id, error)
        return True
    except InvalidInputError as error:
        problem = str(error)
    if problem is None:
        return False
    ledger.mark_unreadable(image_id, problem)
    logger.warning("%s is not asked for: %s", image_id, problem)
    return True


def pass_over(image_id: str, error: InvalidInputError, ledger: Ledger) -> None:
    """Record that an image could not be read, so that the rest can go on without it."""
    ledger.mark_unreadable(image_id, str(error))
    logger.warning("%s is passed over: %s", image_id, error)


@lru_cache(maxsize=100_000)
def _problem(path: str, modified_ns: int, size: int, with_voxels: bool) -> str | None:
    """Why this state of a file cannot be read, or None; read once, however often it is proposed."""
    try:
        read_volume(path) if with_voxels else read_grid(path)
    except InvalidInputError as error:
        return str(error)
    return None
