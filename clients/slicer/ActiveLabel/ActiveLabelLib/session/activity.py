"""Active seconds: how long the person has worked, without the pauses."""

from __future__ import annotations

from collections.abc import Hashable

PAUSE_SECONDS = 30.0
"""No input for longer than this is a pause. A shorter look at the image is work."""
MOST_SECONDS = 600.0
"""The server takes at most this from one heartbeat."""


class ActiveTime:
    """Adds up the time between two inputs, unless it is a pause.

    Input is whatever changes the `stamp` that is shown each time: the place of the mouse, the drawing, the slice.
    """

    def __init__(self) -> None:
        self._stamp: Hashable = None
        self._last_input: float | None = None
        self._seconds = 0.0

    def look(self, now: float, stamp: Hashable) -> None:
        """Note at the time `now` what the stamp is."""
        if stamp == self._stamp:
            return
        self._stamp = stamp
        if self._last_input is not None and now - self._last_input <= PAUSE_SECONDS:
            self._seconds += now - self._last_input
        self._last_input = now

    def take(self) -> float:
        """The seconds since the last call."""
        seconds, self._seconds = min(self._seconds, MOST_SECONDS), 0.0
        return seconds

    def give_back(self, seconds: float) -> None:
        """Count seconds again that could not be sent."""
        self._seconds += seconds

    def forget(self) -> None:
        """Begin anew, for another case."""
        self._seconds, self._last_input = 0.0, None
