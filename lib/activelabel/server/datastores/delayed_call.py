"""A delayed function call that combines all requests during the delay."""

import threading
from collections.abc import Callable


class DelayedCall:
    """Runs a function after a delay, once for all requests during the delay."""

    def __init__(self, call: Callable[[], None], delay_seconds: float) -> None:
        self._call = call
        self._delay_seconds = delay_seconds
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def request(self) -> None:
        """Run the function within the delay."""
        with self._lock:
            if self._timer is None:
                self._timer = threading.Timer(self._delay_seconds, self.flush)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Run the function now if it was requested."""
        with self._lock:
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
            self._call()
