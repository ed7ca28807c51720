"""A delayed function call that combines all requests during the delay."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

logger = logging.getLogger(__name__)

AGAIN_SECONDS = 30.0
"""After that long a function is tried again that found a full or missing disk."""

_BETWEEN_PAUSES = 250
_Part = TypeVar("_Part")


def with_pauses(parts: Iterable[_Part], are_wanted: Callable[[], bool]) -> Iterator[_Part]:
    """The parts, with a pause after every few hundred, as long as a thread computes for these, if pauses are wanted.

    Python keeps a thread that comes back from a disk, a network or a database waiting 5 ms for one that computes, and
    who answers a question comes back twenty times.
    """
    left, began = iter(parts), time.thread_time()
    while some := list(islice(left, _BETWEEN_PAUSES)):
        yield from some
        if are_wanted():
            time.sleep(time.thread_time() - began)
        began = time.thread_time()


class NotesFailure:
    """What notes when its disk was full or gone, until it has worked again."""

    _failed_at: float | None = None

    @property
    def is_failing(self) -> bool:
        """Whether it found a full or missing disk when it ran last."""
        return self._failed_at is not None

    @property
    def failed_lately(self) -> bool:
        """Whether it did in the last `AGAIN_SECONDS`, so that it need not be tried for whoever only reads."""
        return self._failed_at is not None and time.monotonic() - self._failed_at < AGAIN_SECONDS


class DelayedCall(NotesFailure):
    """Runs a function after a delay, once for all requests during the delay.

    The delay is at least `share` times the processor time that the function took last, so that it takes no more than
    one part in `share` of a processor, however large the project is.

    A function that raises has still to be run: at the next `flush` or, if a disk was the reason, by itself later, or
    sooner if it is requested again. Of a disk only the first failure is logged until it works again.
    """

    def __init__(self, call: Callable[[], None], delay_seconds: float, share: float = 0.0) -> None:
        self._call = call
        self._delay_seconds = delay_seconds
        self._share = share
        self._took_seconds = 0.0
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._tries_again = False
        self._noted = False
        self._is_closed = False
        self._running: set[threading.Thread] = set()

    def note(self) -> None:
        """Have the function run with the next request or at `flush`, but not by itself."""
        self._noted = True

    def request(self) -> None:
        """Run the function within the delay; once this is closed, only at `flush`."""
        with self._lock:
            if self._is_closed:
                self._noted = True
                return
            if self._timer is not None and self._tries_again:
                self._timer.cancel()
                self._timer = None
            if self._timer is None:
                self._start_timer(max(self._delay_seconds, self._share * self._took_seconds))

    def flush(self) -> None:
        """Run the function now if it was requested or noted."""
        with self._lock:
            timer, self._timer = self._timer, None
            noted, self._noted = self._noted, False
        if timer is not None:
            timer.cancel()
        if timer is not None or noted:
            began = time.thread_time()
            try:
                self._call()
            except BaseException as error:
                self._noted = True
                if isinstance(error, OSError):
                    self._failed_at = time.monotonic()
                raise
            finally:
                self._took_seconds = time.thread_time() - began
            self._failed_at = None

    def close(self) -> None:
        """Never run the function by itself again, but at `flush`, and wait until a thread that runs it has."""
        with self._lock:
            self._is_closed = True
            timer, self._timer = self._timer, None
            running = self._running - {threading.current_thread()}
            if timer is not None:
                timer.cancel()
                self._noted = True
        for thread in running:
            thread.join()

    def _start_timer(self, seconds: float, *, tries_again: bool = False) -> None:
        self._tries_again = tries_again
        self._timer = threading.Timer(seconds, self._in_time)
        self._timer.daemon = True
        self._timer.start()

    def _in_time(self) -> None:
        """Run the function, which nobody waits for; if a disk is full or gone, once more later."""
        this = threading.current_thread()
        with self._lock:
            if self._is_closed:
                return
            self._running.add(this)
        was_failing = self.is_failing
        try:
            self.flush()
        except OSError as error:
            if not was_failing:
                logger.error("%s; this is tried again every %.0f s", error, AGAIN_SECONDS)
            with self._lock:
                if self._timer is None and not self._is_closed:
                    self._start_timer(AGAIN_SECONDS, tries_again=True)
        finally:
            with self._lock:
                self._running.discard(this)
