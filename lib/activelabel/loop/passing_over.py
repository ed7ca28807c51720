"""Images that this process cannot get at while it can at others: it goes on with those, and comes back later."""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.one_case import for_want_of_memory
from activelabel.errors import ActiveLabelError, InvalidInputError, NotFoundError, UnavailableError
from activelabel.project.images import DescribedImages, Images

logger = logging.getLogger(__name__)

MOST_IN_A_ROW = 3
"""After so many images in a row that fail it is the folder, not the image."""


class PassedOverError(UnavailableError):
    """An image cannot be had now; it is noted, and the next one may be there."""


class PassingOver:
    """The images of a worker, of which those that are missing or do not answer are passed over.

    Nothing is set aside by that: the server or another worker may see them.

    Attributes:
        failed: why each image that is passed over could not be had, until all others were tried.
        read: how many images were found since the last call of `begin`.
        found: how many were found in all.
        tries: how often each image was tried in vain, as its user counts; one that is found is forgotten.
    """

    def __init__(self, images: DescribedImages) -> None:
        self.failed: dict[str, ActiveLabelError] = {}
        self.read = self.found = 0
        self.tries: Counter[str] = Counter()
        self._images = images
        self._in_a_row = 0

    def begin(self) -> None:
        """Count anew; what failed before stays passed over."""
        self.read = self._in_a_row = 0

    def image_files(self, image_id: str) -> ImageFiles:
        """The files of an image.

        Raises:
            PassedOverError: it is missing or does not answer.
            NotFoundError: the same, of the last of several in a row.
            UnavailableError: the same.
        """
        try:
            files = self._images.image_files(image_id)
        except (NotFoundError, UnavailableError) as error:
            self._in_a_row += 1
            if self._in_a_row >= MOST_IN_A_ROW:
                self.failed[image_id] = error
                raise
            raise self.pass_over(image_id, error) from error
        self._in_a_row = 0
        self.read += 1
        self.found += 1
        self.tries.pop(image_id, None)
        return files

    def pass_over(self, image_id: str, error: ActiveLabelError) -> PassedOverError:
        """Note why an image cannot be had now; the error to raise."""
        self.failed[image_id] = error
        logger.warning("%s; it is passed over for now", error)
        return PassedOverError(str(error))

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """The information about an image."""
        return self._images.get_image_info(image_id)


@contextmanager
def files_to_read(image_id: str, images: Images) -> Iterator[ImageFiles]:
    """The files of an image for a block that reads them. What goes while it is read is no fault of the image.

    A copy goes when its image has changed in the PACS, or with a folder for temporary files that is cleaned. Nor is it
    the fault of the image that a worker has too little memory for it: another may have more.

    Raises:
        PassedOverError: the files have gone, or the memory is too small for them, and `images` are those of a worker,
            or as `PassingOver.image_files`.
        UnavailableError: they have gone, and can be had again.
    """
    files = images.image_files(image_id)
    try:
        yield files
    except InvalidInputError as error:
        if isinstance(images, PassingOver) and for_want_of_memory(error):
            raise images.pass_over(image_id, error) from error
        if files.all_exist() or not _can_be_had(image_id, images):
            raise
        gone = UnavailableError(f"image '{image_id}': {files.name} has gone while it was read")
        raise (images.pass_over(image_id, gone) if isinstance(images, PassingOver) else gone) from error


def _can_be_had(image_id: str, images: Images) -> bool:
    """Whether the files of an image can be had once more; a worker passes over one that is missing."""
    try:
        return images.image_files(image_id).all_exist()
    except NotFoundError:
        if isinstance(images, PassingOver):
            raise
        return False
