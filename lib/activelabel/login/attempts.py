"""Limits on failed logins: per name and place, per name from anywhere, and per place with any name."""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from activelabel.errors import TooManyError

WITHIN_SECONDS = 300.0
FOR_NAME_AND_PLACE, FOR_PLACE, FOR_NAME = 5, 30, 50
"""How many logins may fail within `WITHIN_SECONDS`. The limit per name is the highest, since others can exhaust it."""
_MOST_KEYS = 20_000

Key = tuple[str, str]


class Attempts:
    """The failed logins of the last minutes in this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: defaultdict[Key, deque[float]] = defaultdict(deque)
        self._lock = threading.Lock()

    @contextmanager
    def attempt(self, name: str, place: str) -> Iterator[None]:
        """Try one login. It counts as failed until the block succeeds, so that parallel attempts are limited too.

        Raises:
            TooManyError: too many logins have failed; this one is not tried.
        """
        keys = {(name, place): FOR_NAME_AND_PLACE, ("", place): FOR_PLACE, (name, ""): FOR_NAME}
        now = self._clock()
        with self._lock:
            waits = [self._wait(key, most, now) for key, most in keys.items()]
            if max(waits) > 0:
                seconds = int(max(waits)) + 1
                raise TooManyError(f"too many failed logins: try again in {seconds} seconds", seconds)
            for key in keys:
                self._failed[key].append(now)
            self._forget_old(now)
        yield
        # Who has logged in starts anew at this place. The other two counts hold failures of others, so each loses only
        # this attempt: one good account must not clear what was tried with others.
        with self._lock:
            self._failed.pop((name, place), None)
            for key in (("", place), (name, "")):
                times = self._failed.get(key)
                if times and now in times:
                    times.remove(now)

    def _wait(self, key: Key, most: int, now: float) -> float:
        """Seconds until another login may be tried."""
        times = self._failed.get(key)
        while times and times[0] <= now - WITHIN_SECONDS:
            times.popleft()
        return 0.0 if not times or len(times) < most else times[0] + WITHIN_SECONDS - now

    def _forget_old(self, now: float) -> None:
        if len(self._failed) > _MOST_KEYS:
            old = [key for key, times in self._failed.items() if not times or times[-1] <= now - WITHIN_SECONDS]
            for key in old:
                del self._failed[key]
