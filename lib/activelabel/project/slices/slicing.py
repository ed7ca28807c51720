"""The slice axis of each image of a project: determined once and kept in the ledger."""

import logging
import time

from activelabel.acquisition.selection import shuffled
from activelabel.data.files.one_case import one_case
from activelabel.data.grids import Grid
from activelabel.data.slices import SlicePlane, slice_axis
from activelabel.data.volumes import read_grid
from activelabel.errors import InvalidInputError, NotFoundError
from activelabel.project.images import Images
from activelabel.project.project import Project
from activelabel.project.setting_aside import set_aside
from activelabel.store.ledger import Ledger

logger = logging.getLogger(__name__)

COUNTING_SECONDS = 5.0
"""How long one request may read images to count their slices; the next request continues with the others."""


def fixed_axis(ledger: Ledger, image_id: str, grid: Grid, plane: SlicePlane) -> int:
    """The axis of an image along which its slices are counted: the recorded one, else the axis across `plane`.

    Raises:
        InvalidInputError: the image is not the one whose slices were annotated.
    """
    wanted = slice_axis(grid, plane)
    fixed = ledger.fix_slices(image_id, wanted, grid.shape).slice_axis
    assert fixed is not None
    return fixed


def axis_of_label(ledger: Ledger, image_id: str, grid: Grid, plane: SlicePlane) -> int:
    """The axis that `fixed_axis` would give, for a label with which it is recorded.

    Raises:
        InvalidInputError: as `fixed_axis`.
    """
    return ledger.axis_of_label(image_id, slice_axis(grid, plane), grid.shape)


def count_slices(project: Project, images: Images, seconds: float = COUNTING_SECONDS) -> None:
    """Count the slices of the images of the pool for up to `seconds`, at least of one image.

    The order is random, so that random queries meanwhile can come from any image. An image that cannot be read is set
    aside; an image that is gone is passed over until the datastore has noticed.
    """
    started = time.monotonic()
    uncounted = shuffled(
        (image.image_id for image in project.ledger.slice_pool() if image.slice_count is None), project.settings.seed
    )
    for done, image_id in enumerate(uncounted):
        if done and time.monotonic() - started > seconds:
            logger.info("%d images are still to be read before their slices can be asked for", len(uncounted) - done)
            return
        try:
            with one_case(image_id):
                fixed_axis(project.ledger, image_id, read_grid(images.image_files(image_id)), project.slice_plane)
        except NotFoundError as error:
            logger.warning("the slices of %s are not counted: %s", image_id, error)
        except InvalidInputError as error:
            set_aside(image_id, error, project.ledger, images)
