"""A delayed function call that combines all requests during the delay."""

import threading
import time
from collections.abc import Callable


class DelayedCall:
    """Runs a function after a delay, once for all requests during the delay.

    The delay is at least `share` times the processor time that the function took last, so that it takes no more than
    one part in `share` of a processor, however large the project is.
    """

    def __init__(self, call: Callable[[], None], delay_seconds: float, share: float = 0.0) -> None:
        self._call = call
        self._delay_seconds = delay_seconds
        self._share = share
        self._took_seconds = 0.0
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._noted = False

    def note(self) -> None:
        """Have the function run with the next request or at `flush`, but not by itself."""
        self._noted = True

    def request(self) -> None:
        """Run the function within the delay."""
        with self._lock:
            if self._timer is None:
                self._timer = threading.Timer(max(self._delay_seconds, self._share * self._took_seconds), self.flush)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Run the function now if it was requested or noted."""
        with self._lock:
            timer, self._timer = self._timer, None
            noted, self._noted = self._noted, False
        if timer is not None:
            timer.cancel()
        if timer is not None or noted:
            began = time.thread_time()
            self._call()
            self._took_seconds = time.thread_time() - began
