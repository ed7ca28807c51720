"""The server as one person has it: it may be silent for a while, and what they draw meanwhile waits on this machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from ActiveLabelLib.errors import CancelledError, CaseError, ClientError, RefusedError, SilentError
from ActiveLabelLib.outbox.outbox import Outbox
from ActiveLabelLib.outbox.unsent import CORRECTION, DRAFT, Unsent
from ActiveLabelLib.server.answers import Project, Saved, User
from ActiveLabelLib.server.server import Server

RETRY_SECONDS = 10.0
FAULTS = 5
"""How often a drawing is sent at which the server fails, before it counts as refused."""

Answer = TypeVar("Answer")


class Link:
    """A person at a server.

    Attributes:
        server: the server; None before the first connection.
        connected: whether it answered the last request.
        user: who the server takes the person for.
        project: the project's labels.
        line: what happened last, for the person.
        had_come: images whose drawing was sent as a draft, and which the server had as finished already.
    """

    def __init__(self, unsent_folder: Path, make_server: Callable[..., Server], clock: Callable[[], float]) -> None:
        """Drawings wait in `unsent_folder`; `clock` tells the time in seconds."""
        self.server: Server | None = None
        self.connected = False
        self.user: User | None = None
        self.project: Project | None = None
        self.line = ""
        self.had_come: set[str] = set()
        self._unsent_folder = unsent_folder
        self._make_server = make_server
        self._clock = clock
        self._outbox: Outbox | None = None
        self._retry_at = 0.0
        self._faults: Counter[Path] = Counter()
        self._sends_again = False
        self._lost_by: ClientError | None = None

    def connect(
        self, address: str, name: str, password: str, certificate: str, leave: Callable[[], None] = lambda: None
    ) -> None:
        """Connect, and `leave` what is open first, if it is another server, or another person, than before.

        Raises:
            ClientError: the server refuses, or does not answer; everything is then as it was.
        """
        server = self._make_server(address, name, password, certificate)
        user, project = server.log_in(), server.project()
        before = None
        if self.server is not None and self.user is not None and self.project is not None:
            before = (self.server.address, self.user.name, self.project.id)
        is_other = before is not None and before != (server.address, user.name, project.id)
        if self._outbox is None or is_other:
            outbox = Outbox(self._unsent_folder, server.address, user.name, project.id)
            if is_other:
                leave()
            self.end()
            self._outbox = outbox
        self.server, self.user, self.project, self.connected = server, user, project, True
        self.line = f"connected to {server.address} as {user.name or 'nobody by name'}"

    def end(self) -> None:
        """Leave what waits here to the next Slicer: this one ends."""
        if self._outbox is not None:
            self._outbox.end()

    def ask(self, request: Callable[[], Answer]) -> Answer:
        """Ask the server something. What waits is sent first: the answer may depend on it.

        Raises:
            SilentError: it does not answer, or the person has broken it off (`CancelledError`).
            RefusedError: it refuses this, or takes nothing at the moment.
        """
        if not self.connected and not self.reconnect():
            if isinstance(self._lost_by, (CancelledError, RefusedError)):
                raise self._lost_by
            raise SilentError(
                f"{self.require_server().address} does not answer; what you draw is kept here until it does"
            )
        try:
            return request()
        except SilentError as error:
            self.lost(error)
            raise

    def lost(self, error: ClientError) -> None:
        """Note that the server is silent, or takes nothing at the moment."""
        self.connected = False
        self._lost_by = error
        self._retry_at = self._clock() + RETRY_SECONDS
        self.line = f"{error}; what you draw is kept here until the server takes it"

    def retry(self) -> None:
        """Ask a silent server again, or send again what it has failed at, if it is time."""
        if (self.connected and not self._sends_again) or self._clock() < self._retry_at:
            return
        self._retry_at = self._clock() + RETRY_SECONDS
        if self.connected:
            self.send()
        else:
            self.reconnect()

    def note_fault(self, error: RefusedError) -> None:
        """Note that the server has failed at a drawing, which is sent again after a while."""
        self._sends_again = True
        self._retry_at = self._clock() + RETRY_SECONDS
        self.line = f"{error}; what you draw is kept here until the server takes it"

    def reconnect(self) -> bool:
        """Ask a silent server again; send what waits if it answers."""
        server = self.require_server()
        try:
            server.require_answer()
        except SilentError as error:
            self._lost_by = error
            return False
        except RefusedError as error:  # another project is served there now, for example
            self._lost_by = error
            self.line = str(error)
            return False
        self.connected = True
        self.line = f"{server.address} answers again"
        self.send()
        return self.connected

    def send(self) -> None:
        """Send all drawings that wait, but a reviewer's corrections and what the server has refused.

        One at which the server fails holds up none of the others; after some times it counts as refused.
        """
        self._sends_again = False
        for entry in self.outbox.to_send():
            if entry.kind == CORRECTION or entry.refused:
                continue
            try:
                self.send_entry(entry)
            except SilentError as error:
                self.lost(error)
                break
            except RefusedError as error:
                if error.may_pass:
                    self.lost(error)
                    break
                if error.is_fault and not self._fails_always(entry, error):
                    self.note_fault(error)
                    continue
                self.line = f"{entry.image}: {error}; your drawing is kept in {entry.file}"
        problems = self.outbox.take_problems()
        if problems:
            self.line = "; ".join(problems)

    def send_entry(self, entry: Unsent) -> Saved:
        """Send a drawing, which is then no longer kept here. One that is refused stays, and waits for the person.

        Raises:
            RefusedError: the server refuses it, or fails at it.
            SilentError: the server does not answer.
        """
        server = self.require_server()
        send = server.save_draft if entry.kind == DRAFT else server.save_label
        try:
            saved = send(entry.image, entry.file, entry.params)
        except RefusedError as error:
            if not (error.may_pass or error.is_fault):
                self._refuse(entry, str(error))
            raise
        self.outbox.remove(entry)
        self._faults.pop(entry.file, None)
        if entry.kind == DRAFT and saved.state == "finished":
            self.had_come.add(entry.image)
        return saved

    def _fails_always(self, entry: Unsent, error: RefusedError) -> bool:
        """Count that the server has failed at a drawing; whether it counts as refused by now."""
        self._faults[entry.file] += 1
        if self._faults[entry.file] < FAULTS:
            return False
        self._refuse(entry, str(error))
        return True

    def hold_back(self, image: str, line: str) -> None:
        """Keep a drawing that still waits here until its case opens again: sent by itself, it would bring it back."""
        waiting = self.outbox.of(image)
        if waiting is not None and waiting.owner == self.outbox.owner and not waiting.refused:
            self._refuse(waiting, line)

    def _refuse(self, entry: Unsent, line: str) -> None:
        with suppress(OSError):  # a full disk: it is then sent once more, and refused once more
            self.outbox.refuse(entry, line)

    def require_server(self) -> Server:
        """The server.

        Raises:
            CaseError: there is none yet.
        """
        if self.server is None:
            raise CaseError("not connected: enter the address of the server and press Connect")
        return self.server

    def require_project(self) -> Project:
        """The project of the server; raises as `require_server`."""
        self.require_server()
        assert self.project is not None
        return self.project

    @property
    def outbox(self) -> Outbox:
        """What waits here for the server; raises as `require_server`."""
        self.require_server()
        assert self._outbox is not None
        return self._outbox
