"""Requests that are being answered: what nobody waits for gives way to them."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

CALM_SECONDS = 1.0
"""For so long nobody has asked for anything when what can wait begins: a viewer's requests come one after another."""
PATIENCE_SECONDS = 30.0
"""After so long it begins all the same: where many people work, somebody always asks."""
_LOOK_SECONDS = 0.1


class Requests:
    """Counts the requests that are being answered. An answer that is sent on and on, as events are, does not count."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._under_way = 0
        self._last_ended = clock()

    @contextmanager
    def one(self) -> Iterator[None]:
        """A request, from its arrival to its answer."""
        with self._lock:
            self._under_way += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1
                self._last_ended = self._clock()

    @property
    def calm(self) -> bool:
        """Whether none is being answered, nor was a moment ago."""
        with self._lock:
            return not self._under_way and self._clock() - self._last_ended >= CALM_SECONDS

    def give_way(self, stopped: threading.Event) -> bool:
        """Wait until it is calm, but not for ever; False if it was `stopped` meanwhile."""
        until = self._clock() + PATIENCE_SECONDS
        while not stopped.is_set() and not self.calm and self._clock() < until:
            stopped.wait(_LOOK_SECONDS)
        return not stopped.is_set()


requests = Requests()
"""The requests of this server."""
