"""Images that a worker cannot get while it gets others: how often each was tried, and what follows from it."""

import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from activelabel.errors import ActiveLabelError, NotFoundError, UnavailableError
from activelabel.loop.passing_over import PassingOver
from activelabel.project.images import DescribedImages
from activelabel.store.ledger import Ledger
from activelabel.work.images import ServerImages, SharedFolder

logger = logging.getLogger(__name__)

TRIES = 3
"""How often an image is tried that is missing, or that a folder does not give while it gives others."""
SERVER_TRIES = 12
"""How often one is tried that a server or PACS does not give while it gives others."""
RARELY_SECONDS = 600.0
"""The pause after which one that was tried so often in vain is tried again."""


class ImagesLeftError(ActiveLabelError):
    """All that is left to do are images that this worker has tried in vain; others may get them.

    Attributes:
        done: how many pieces the worker has done.
        left: how many images are left.
    """

    def __init__(self, text: str, done: int = 0, left: int = 0) -> None:
        super().__init__(text)
        self.done = done
        self.left = left


@dataclass(frozen=True)
class LeftToOthers:
    """Why a worker leaves an image to others for a while, and since when, by `time.monotonic`."""

    error: ActiveLabelError
    since: float


class Tries:
    """The images that a worker has passed over.

    A try counts only if another image could be had: while none can, it is the folder, the server or the PACS.

    Attributes:
        left_to_others: the images that this worker has tried in vain so often that it waits before it tries them again.
        gives_up: whether all that is left is missing, so that the worker ends.
    """

    def __init__(self, ledger: Ledger, images: DescribedImages, passing: PassingOver) -> None:
        self.left_to_others: dict[str, LeftToOthers] = {}
        self.gives_up = False
        self._ledger = ledger
        self._images = images
        self._passing = passing
        self._found_before = 0
        self._asked_last = ""
        self._is_down = False

    def after_turn(self, *, any_done: bool, until_done: bool) -> bool:
        """After a turn, forget which images were passed over, so that the next one tries them; whether there were any.

        One that a shared folder does not give after some tries, while it gives another, is set aside. One that a server
        or a PACS does not give after more of them, while it gives another, is left to others.

        Raises:
            NotFoundError: a first image is not there, or with `until_done`, all that is left is not, after some tries.
        """
        failed = {one: error for one, error in self._passing.failed.items() if one not in self.left_to_others}
        missing = [error for error in failed.values() if isinstance(error, NotFoundError)]
        nothing_is_there = bool(missing) and not (any_done or self._passing.read)
        gives_others = not nothing_is_there and self._gives_others(failed)
        comes_back = self._forget_old() or self._forget_after_outage(failed, gives_others)
        self._passing.failed.clear()
        self._passing.failed.update({one: left.error for one, left in self.left_to_others.items()})
        if nothing_is_there:
            raise missing[0]
        self._count(failed, gives_others)
        for image_id, error in list(failed.items()):
            if isinstance(error, UnavailableError) and self._give_up(image_id, error):
                del failed[image_id]
        if not failed:
            return comes_back
        if until_done and len(missing) == len(failed) and all(self._passing.tries[one] >= TRIES for one in failed):
            self.gives_up = True
            raise missing[0]
        return True

    def forget(self, done: Collection[str]) -> None:
        """Forget images that were left to others, and that others have done."""
        for image_id in done:
            del self.left_to_others[image_id]
            self._passing.failed.pop(image_id, None)
            self._passing.tries.pop(image_id, None)

    def _count(self, failed: Mapping[str, ActiveLabelError], gives_others: bool) -> None:
        """Count the tries of a turn; a server that has no such image has answered."""
        for image_id, error in failed.items():
            has_answered = isinstance(error, NotFoundError) and not isinstance(self._images, SharedFolder)
            if has_answered or gives_others:
                self._passing.tries[image_id] += 1

    def _give_up(self, image_id: str, error: UnavailableError) -> bool:
        """Set an image aside, or leave it to others, if it was tried often enough; whether it was."""
        tries = self._passing.tries[image_id]
        if isinstance(self._images, SharedFolder):
            if tries < TRIES:
                return False
            reason = f"{error} Others there can be read."
            self._ledger.mark_unreadable(image_id, reason, None)
            logger.warning("%s is set aside: %s", image_id, reason)
            return True
        if tries < SERVER_TRIES:
            return False
        logger.warning(
            "%s is left to others: it was tried %d times in vain (%s); this worker tries it again in %.0f minutes",
            image_id, tries, error, RARELY_SECONDS / 60,
        )  # fmt: skip
        self.left_to_others[image_id] = LeftToOthers(error, time.monotonic())
        self._passing.failed[image_id] = error
        return True

    def _forget_old(self) -> bool:
        """Let images be tried again that were left to others a while ago; whether there were any."""
        now = time.monotonic()
        old = [one for one, left in self.left_to_others.items() if now - left.since >= RARELY_SECONDS]
        self.forget(old)
        return bool(old)

    def _forget_after_outage(self, failed: Mapping[str, ActiveLabelError], gives_others: bool) -> bool:
        """Once others can be had again after none could, let all be tried again; whether there were any."""
        was_down, self._is_down = self._is_down, not gives_others and (self._is_down or bool(failed))
        if not was_down or self._is_down:
            return False
        left = list(self.left_to_others)
        self.forget(left)
        return bool(left)

    def _gives_others(self, failed: Mapping[str, ActiveLabelError]) -> bool:
        """Whether another image was found since the last turn that ended, or can be had now if some have failed.

        Of a shared folder only what can be had now counts: what it does not give is set aside for all.
        """
        found, self._found_before = self._passing.found > self._found_before, self._passing.found
        if found and not (failed and isinstance(self._images, SharedFolder)):
            return True
        return bool(failed) and self._another_can_be_had(failed)

    def _another_can_be_had(self, failed: Mapping[str, ActiveLabelError]) -> bool:
        """Ask for an image that none of those is, another one each time: what was had before may be kept here."""
        in_vain = failed.keys() | self.left_to_others.keys()

        def first(after: str) -> str | None:
            """The first one behind an id that was not tried in vain: there is none if so many hold none."""
            some = self._ledger.usable_after(after, len(in_vain) + 1)
            return next((one for one in some if one not in in_vain), None)

        asked = first(self._asked_last) or first("")
        if asked is None:
            return False
        self._asked_last = asked
        try:
            if isinstance(self._images, ServerImages):
                self._images.require_answer(asked)
                return True
            return self._images.image_files(asked).exists()
        except ActiveLabelError:
            return False
