"""A pass for one image, since Slicer downloads the image to annotate without its token.

Slicer's module sends the token with every other request; the download goes through another part of Slicer. A user
who asks for the next case with a token may therefore fetch that image once, from the same machine and soon after.
"""

import threading
import time
from collections.abc import Callable

from activelabel.login.identity import Identity

HOLDS_SECONDS = 60.0


class ImagePasses:
    """The unused passes in this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._given: dict[tuple[str, str], tuple[Identity, float]] = {}
        self._lock = threading.Lock()

    def give(self, machine: str, image_id: str, who: Identity) -> None:
        """Let this machine fetch this image once, as the user `who`."""
        now = self._clock()
        with self._lock:
            self._given = {key: (one, end) for key, (one, end) in self._given.items() if end > now}
            self._given[machine, image_id] = (who, now + HOLDS_SECONDS)

    def take(self, machine: str, image_id: str) -> Identity | None:
        """Use up the pass of a machine for an image; return its user, or None without a valid pass."""
        with self._lock:
            who, end = self._given.pop((machine, image_id), (None, 0.0))
        return who if end > self._clock() else None
