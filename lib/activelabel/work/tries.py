"""Images that a worker cannot get while it gets others: how often each was tried, and what follows from it."""

import logging
import time
from collections import Counter
from collections.abc import Mapping

from activelabel.errors import ActiveLabelError, NotFoundError, UnavailableError
from activelabel.loop.passing_over import PassingOver
from activelabel.project.images import DescribedImages
from activelabel.store.ledger import Ledger
from activelabel.work.images import SharedFolder

logger = logging.getLogger(__name__)

TRIES = 3
"""How often an image is tried that is missing, or that a folder does not give while it gives others."""
SERVER_TRIES = 12
"""How often one is tried that a server or PACS does not give: with the pauses, longer than either takes to start."""
RARELY_SECONDS = 600.0
"""The pause after which one that was tried so often in vain is tried again."""


class ImagesLeftError(ActiveLabelError):
    """All that is left to do are images that this worker has tried in vain; others may get them."""


class Tries:
    """The images that a worker has passed over.

    Attributes:
        refused: why those could not be had that this worker leaves to others for a while.
        gives_up: whether all that is left is missing, so that the worker ends.
    """

    def __init__(self, ledger: Ledger, images: DescribedImages, passing: PassingOver) -> None:
        self.refused: dict[str, ActiveLabelError] = {}
        self.gives_up = False
        self._ledger = ledger
        self._images = images
        self._passing = passing
        self._failed: Counter[str] = Counter()
        self._refused_at: dict[str, float] = {}

    def after_turn(self, *, any_done: bool, until_done: bool) -> bool:
        """After a turn, forget which images were passed over, so that the next one tries them; whether there were any.

        One that a shared folder does not give after some tries, while it gives another, is set aside. One that a server
        or a PACS does not give after more of them is left to others.

        Raises:
            NotFoundError: a first image is not there, or with `until_done`, all that is left is not, after some tries.
        """
        failed = {one: error for one, error in self._passing.failed.items() if one not in self.refused}
        self._forget_old()
        self._passing.failed.clear()
        self._passing.failed.update(self.refused)
        if not failed:
            return False
        missing = [error for error in failed.values() if isinstance(error, NotFoundError)]
        if missing and not (any_done or self._passing.read):
            raise missing[0]
        if not isinstance(self._images, SharedFolder) or self._another_is_read(self._images, failed):
            self._failed.update(failed.keys())
        for image_id, error in list(failed.items()):
            if isinstance(error, UnavailableError) and self._give_up(image_id, error):
                del failed[image_id]
        if not failed:
            return False
        if until_done and len(missing) == len(failed) and all(self._failed[one] >= TRIES for one in failed):
            self.gives_up = True
            raise missing[0]
        return True

    def _give_up(self, image_id: str, error: UnavailableError) -> bool:
        """Set an image aside, or leave it to others, if it was tried often enough; whether it was."""
        if isinstance(self._images, SharedFolder):
            if self._failed[image_id] < TRIES:
                return False
            reason = f"{error} Others there can be read."
            self._ledger.mark_unreadable(image_id, reason, None)
            logger.warning("%s is set aside: %s", image_id, reason)
            return True
        if self._failed[image_id] < SERVER_TRIES:
            return False
        logger.warning(
            "%s is left to others: it was tried %d times in vain (%s); this worker tries it again in %.0f minutes",
            image_id, self._failed[image_id], error, RARELY_SECONDS / 60,
        )  # fmt: skip
        self.refused[image_id] = self._passing.failed[image_id] = error
        self._refused_at[image_id] = time.monotonic()
        return True

    def _forget_old(self) -> None:
        """Let images be tried again that were refused a while ago."""
        for image_id, since in list(self._refused_at.items()):
            if time.monotonic() - since >= RARELY_SECONDS:
                del self.refused[image_id], self._refused_at[image_id], self._failed[image_id]

    def _another_is_read(self, folder: SharedFolder, failed: Mapping[str, ActiveLabelError]) -> bool:
        """Whether the folder gives an image that is none of those that failed."""
        for image in self._ledger.images():
            if image.usable and image.id not in failed:
                try:
                    return folder.image_files(image.id).exists()
                except ActiveLabelError:
                    return False
        return False
