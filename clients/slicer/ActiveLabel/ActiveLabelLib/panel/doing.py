"""What a person asks for, done beside the window: a line about what came of it, and a button that breaks it off."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable

import qt

from ActiveLabelLib.errors import CancelledError, ClientError
from ActiveLabelLib.panel.panel_parts import button, words
from ActiveLabelLib.session.errands import Errands
from ActiveLabelLib.session.session import Session

STEP_MS = 30
"""How often the steps of an errand are looked for while one is under way."""
END_SECONDS = 10.0
"""How long the end waits for what it has broken off: a connection that is being made takes half of this to give up."""
FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


def nothing() -> None:
    """What is done after most errands."""


class Doing:
    """What is under way, around a session.

    Attributes:
        status: what the panel says last.
        cancel: the button that breaks off what is asked of the server.
        asked: whether something is under way that a person has asked for.
        leaves: whether it may end in another case, or in none, so that nobody may draw meanwhile.
    """

    def __init__(self, session: Session, errands: Errands, refresh: Callable[[], None]) -> None:
        """Run what is asked of `session` by `errands`, and `refresh` the panel whenever something has ended."""
        self._session = session
        self._errands = errands
        self._maps = Errands()
        self._refresh = refresh
        self._said = session.line
        self.asked = self.leaves = False
        self.status = words("Enter the address of the server, and connect.")
        self.cancel = button("Cancel", self._cancel, "Break off what is asked of the server; no drawing is lost")
        self._steps = qt.QTimer()
        self._steps.setInterval(STEP_MS)
        self._steps.timeout.connect(self.poll)

    @property
    def busy(self) -> bool:
        """Whether anything is under way."""
        return self._errands.busy or self._maps.busy

    @property
    def fetches_map(self) -> bool:
        """Whether a map is being fetched."""
        return self._maps.busy

    def do(self, errand: Callable[[], object], then: Callable[[], None] = nothing, *, leaves: bool = False) -> None:
        """Do something that a person wants, and then something on the window's thread if it went well.

        `leaves`: it may end in another case, or in none.
        """
        self.asked = True
        self.leaves = self.leaves or leaves
        self.look(errand, then)
        self._refresh()

    def look(self, errand: Callable[[], object], then: Callable[[], None] = nothing) -> None:
        """Do something by itself: the person may go on meanwhile."""
        self._errands.begin(errand, lambda error: self._ended(error, then))
        self._steps.start()

    def tick(self, errand: Callable[[], object]) -> bool:
        """Do what is due, unless something is under way: it comes after that. Whether it is done."""
        if self._errands.busy:
            return False
        self.look(errand)
        return True

    def fetch_map(self, errand: Callable[[], object], then: Callable[[], None]) -> None:
        """Fetch a map, which may take minutes, while everything else goes on. Another one is given up for it."""

        def ended(error: BaseException | None) -> None:
            given_up = isinstance(error, CancelledError) and self._maps.busy
            self._ended(None if given_up else error, nothing if given_up else then)

        self._maps.cancel()
        self.say("The map of uncertainty is fetched …")
        self._maps.begin(errand, ended)
        self._steps.start()
        self._refresh()

    def do_here(self, step: Callable[[], object]) -> None:
        """Do something at once: what asks the server for nothing, or what comes last of all."""
        error: BaseException | None = None
        try:
            step()
        except (ClientError, OSError) as raised:
            error = raised
        self._ended(error, nothing)

    def break_off(self) -> None:
        """End what is under way, as nothing may come after this. What does not end soon is not waited for."""
        until = time.monotonic() + END_SECONDS
        for errands in (self._errands, self._maps):
            errands.cancel()
            while errands.busy and time.monotonic() < until:
                try:
                    errands.poll()
                except Exception:  # what comes after this keeps the drawing
                    logging.getLogger(__name__).exception("what was under way has ended with an error")

    def _cancel(self) -> None:
        """Break off what a person has asked for; if that is nothing, the map that is fetched."""
        (self._errands if self.asked else self._maps).cancel()

    def poll(self) -> None:
        """Do what errands want done on the window's thread."""
        for errands in (self._errands, self._maps):
            errands.poll()
        if not self.busy:
            self._steps.stop()

    def say(self, text: str, *, bad: bool = False) -> None:
        """Show a line."""
        self.status.setText(text)
        self.status.setStyleSheet("color: #c62828; font-weight: bold" if bad else "")

    def _ended(self, error: BaseException | None, then: Callable[[], None]) -> None:
        self.asked = self.asked and self._errands.busy
        self.leaves = self.leaves and self.asked
        try:
            self._tell(error)
            if error is None:
                then()
        finally:
            self._refresh()

    def _tell(self, error: BaseException | None) -> None:
        """Show what came of something; a refusal is a line, never a lost drawing."""
        if isinstance(error, ClientError):
            self.say(str(error), bad=True)
        elif isinstance(error, OSError):  # of this machine, where drawings are kept
            todo = "make room on this machine" if error.errno in FULL else "look at the rights of this file"
            self.say(f"{error}: {todo}, and try again; nothing drawn is lost", bad=True)
        elif error is not None:
            raise error
        elif self._session.line != self._said:
            self.say(self._session.line)
        self._said = self._session.line
