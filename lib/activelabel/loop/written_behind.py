"""Scores written to the ledger behind the network: by a thread, and those of several images in one transaction."""

import queue
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType

from activelabel.acquisition.score import ImageScores, Score
from activelabel.loop.holding import Holding, nothing_to_write
from activelabel.store.ledger import Ledger

WAIT_SECONDS = 2.0
"""How long scores wait for others with which they are written; so much work is done again after a kill."""
_MOST_WAITING = 256
"""The most images whose scores wait to be written; whoever adds more waits too, so that memory is bounded."""


class ScoresBehind(AbstractContextManager["ScoresBehind"]):
    """Writes scores of images by one model. When the context ends, also by an error, all that were added are kept."""

    def __init__(self, ledger: Ledger, model_version: int, seed: int, held: Holding | None = None) -> None:
        """Write to `ledger`; with `held`, only scores of images that this process still holds, and at once if it waits.

        Scores are added, and `held` is asked for images, in one thread.
        """
        self._held = held
        if held is not None:
            held.write_now = self.write_now
        self._ledger = ledger
        self._model_version = model_version
        self._seed = seed
        self._waiting: queue.Queue[ImageScores | None] = queue.Queue(_MOST_WAITING)
        self._at_once = threading.Event()
        self._error: BaseException | None = None
        self._writer = threading.Thread(target=self._write_all, name="scores", daemon=True)
        self._writer.start()

    def add(self, image_id: str, scores: Sequence[Score], repeats: int) -> None:
        """Have the scores of an image written. Raises what an earlier writing raised."""
        self._raise_error()
        self._at_once.clear()
        self._waiting.put(ImageScores(image_id, tuple(scores), repeats))

    def write_now(self) -> None:
        """Have what was added until now written without a wait for more. Raises what an earlier writing raised."""
        self._raise_error()
        self._at_once.set()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait until everything is written. Raises what a writing raised, unless the block has raised itself."""
        self._at_once.set()
        self._waiting.put(None)
        self._writer.join()
        if self._held is not None:  # Else both would keep each other, and what they hold, for a while.
            self._held.write_now = nothing_to_write
        if error is None:
            self._raise_error()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _write_all(self) -> None:
        """Write until the end. After an error, what comes is dropped, so that nobody waits for room in the queue."""
        ended = False
        while not ended:
            batch, ended = self._next_batch()
            if batch and self._error is None:
                try:
                    if self._held is None:
                        self._ledger.record_scores_of_images(self._model_version, batch, self._seed)
                    else:
                        self._held.record(self._model_version, batch, self._seed)
                except BaseException as error:  # noqa: BLE001  # raised in the thread that adds
                    self._error = error

    def _next_batch(self) -> tuple[list[ImageScores], bool]:
        """Images whose scores are written together, and whether they are the last."""
        item = self._waiting.get()
        if item is not None:
            self._at_once.wait(WAIT_SECONDS)
        batch: list[ImageScores] = []
        while item is not None:
            batch.append(item)
            try:
                item = self._waiting.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True
