"""The work of one person: cases that open, are drawn, and go back. Every button of the panel is one method here."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any

from ActiveLabelLib.activity import ActiveTime
from ActiveLabelLib.answers import Progress, Project, Review, Row, Saved, User
from ActiveLabelLib.case import Case, Scene
from ActiveLabelLib.errors import CaseError, RefusedError, SilentError
from ActiveLabelLib.opening import Opened, open_query, open_review
from ActiveLabelLib.outbox import CORRECTION, DRAFT, FINISHED, Outbox, Unsent
from ActiveLabelLib.server import MARKED, Server, connect
from ActiveLabelLib.walking import mark_shown, show_next

DRAFT_SECONDS = 30.0
HEARTBEAT_SECONDS = 15.0
RETRY_SECONDS = 10.0


class Session:
    """A person at a server, with the case that they have open.

    Attributes:
        server: the server; None before the first connection.
        connected: whether it answered the last request.
        user: who the server takes the person for.
        project: the project's labels.
        case: the open case.
        line: what happened last, for the person.
    """

    def __init__(
        self,
        scene: Scene,
        unsent_folder: Path,
        work_folder: Path,
        make_server: Callable[..., Server] = connect,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Work in `scene`; drawings wait in `unsent_folder`, downloads lie in `work_folder`."""
        self.server: Server | None = None
        self.connected = False
        self.user: User | None = None
        self.project: Project | None = None
        self.case: Case | None = None
        self.line = ""
        self._scene = scene
        self._unsent_folder = unsent_folder
        self._work_folder = work_folder
        self._make_server = make_server
        self._clock = clock
        self._outbox: Outbox | None = None
        self._active = ActiveTime()
        self._due = {"draft": 0.0, "heartbeat": 0.0, "retry": 0.0}

    # The server

    def connect(self, address: str, name: str, password: str = "", certificate: str = "") -> None:
        """Connect, and send what the server does not have yet. A case of another server or person is closed."""
        if self.case is not None:
            self.keep_draft()
        server = self._make_server(address, name, password, certificate)
        user = server.log_in()
        project = server.project()
        before = None if self.server is None or self.user is None else (self.server.address, self.user.name)
        if before is not None and before != (server.address, user.name):
            self._close_case()  # its drawing is kept for whom it belongs to
        self.server, self.user, self.project, self.connected = server, user, project, True
        self._outbox = Outbox(self._unsent_folder, server.address, user.name)
        self.line = f"connected to {server.address} as {user.name or 'nobody by name'}"
        self.send()

    def tick(self, activity: Hashable = None) -> None:
        """Do what is due: called every second with a stamp of the person's input.

        A drawing that has changed is kept every 30 s, active seconds are sent every 15 s, and a server that is silent
        is asked every 10 s.
        """
        now = self._clock()
        if self.case is not None:
            self._active.look(now, (activity, self._scene.stamp(), self._scene.view_stamp()))
        if self.server is None:
            return
        if self.case is not None and self._is_due("draft", now, DRAFT_SECONDS):
            self.keep_draft()
        if not self.connected:
            if self._is_due("retry", now, RETRY_SECONDS):
                self.reconnect()
            return
        if self.case is not None and self._is_due("heartbeat", now, HEARTBEAT_SECONDS):
            self._send_heartbeat()

    def reconnect(self) -> bool:
        """Ask a silent server again; send what waits if it answers."""
        server = self._server()
        try:
            server.require_answer()
        except SilentError:
            return False
        self.connected = True
        self.line = f"{server.address} answers again"
        self.send()
        return self.connected

    def send(self) -> None:
        """Send all drawings that wait, but a reviewer's corrections and what the server has refused."""
        for entry in self._box().all():
            if entry.kind == CORRECTION or entry.refused:
                continue
            try:
                self._send_entry(entry)
            except SilentError as error:
                self._lost(error)
                return
            except RefusedError as error:
                self.line = f"{entry.image}: {error}; your drawing is kept in {entry.file}"

    # A case

    def next_case(self) -> bool:
        """Open the next case; False if nothing is left. A changed drawing is kept as a draft first."""
        self.keep_draft()
        server, project = self._server(), self._project()
        sample = self._asking(lambda: server.next_sample(project.strategy))
        if not sample:
            self._close_case()
            self.line = "nothing is left to annotate"
            return False
        query = self._asking(server.query)
        if query is None or query.image != sample["id"]:
            raise CaseError(f"{sample['id']} was given to somebody else meanwhile: press the button again")
        if self.case is not None and self.case.query is not None and self.case.image == query.image:
            self.case.query = query  # the same case, with the drawing that is on the screen
            self.line = query.reason
        else:
            project = self.project = self._asking(server.project)  # a first model may have come
            path, work = str(sample["path"]), self._work_folder
            waiting, marks = self._box().of(query.image), self._box().marks_of(query.image)
            self._begin(lambda: open_query(server, self._scene, project, query, path, work, waiting, marks))
            self.line = query.reason
        self.next_asked_slice(first=True)
        return True

    def keep_draft(self, *, force: bool = False) -> bool:
        """Keep the drawing: here, and at the server if it answers. Unless `force`, only if it has changed since."""
        case = self.case
        if case is None or (self._stamp() == case.kept and not force):
            return False
        stamp = self._stamp()
        if case.review is not None:
            self._write(case, CORRECTION, {})
        else:
            self._write(case, DRAFT, {MARKED: sorted(case.done)})
            self._box().keep_marks(case.image, sorted(case.done))
        case.kept = stamp
        if self.connected:
            self.send()
        return True

    @property
    def is_drawn(self) -> bool:
        """Whether the person has drawn in the open case, or marked slices, and not finished it."""
        return self.case is not None and self._stamp() != self.case.opened

    @property
    def is_unsaved(self) -> bool:
        """Whether the server lacks something that is drawn."""
        if self.case is None:
            return False
        waiting = None if self._outbox is None else self._outbox.of(self.case.image)
        return self._stamp() != self.case.kept or waiting is not None

    def finish(self) -> Saved:
        """Send the drawing as finished. The case closes, unless the server asks it back as a draft.

        Slices that are marked as done are those that the label covers; without marks it covers what is asked for.
        """
        case, server = self._case(), self._server()
        if case.review is not None:
            raise CaseError("this label is under review: approve it, or return it")
        params = {"finished": True, **({"annotated_slices": sorted(case.done)} if case.done else {})}
        if not self.connected:
            self.reconnect()
        self._send_heartbeat()
        entry = self._write(case, FINISHED, params)
        case.kept = self._stamp()
        try:
            saved = self._asking(lambda: self._send_entry(entry))
        except SilentError as error:
            # The person may draw on: it is a draft until they press the button again.
            self._write(case, DRAFT, {MARKED: sorted(case.done)})
            raise SilentError(
                f"{server.address} does not answer: the drawing is kept here and goes there as a draft when it is "
                "back; finish it then"
            ) from error
        self.line = f"{case.image}: {saved.state}" + (f", {saved.message}" if saved.message else "")
        if saved.state == "finished":
            self._box().keep_marks(case.image, ())
            self._close_case()
        return saved

    def skip(self, kind: str, reason: str) -> None:
        """Skip the case: `not now` or `cannot be annotated`. What is drawn is kept as a draft first."""
        case, server = self._case(), self._server()
        if case.review is not None:
            raise CaseError("a label under review is not skipped: release it")
        self.keep_draft()
        self._asking(lambda: server.skip(case.image, kind, reason))
        self._close_case()
        self.line = f"{case.image} is skipped: {kind}"

    def release(self) -> None:
        """Let go of the case without a word. What is drawn is kept as a draft first."""
        self.keep_draft()
        self._asking(self._server().release)
        image = self._case().image
        self._close_case()
        self.line = f"{image} is released"

    def close(self) -> None:
        """Keep what is unsaved, and say the last active seconds: called when the module or Slicer closes."""
        if self.case is not None and self.server is not None:
            self.keep_draft()
            if self.connected:
                self._send_heartbeat()

    def leave(self) -> None:
        """Forget the case, whose drawing is gone from the scene: the server keeps it for the person for a while."""
        self._close_case()

    # Slices

    def next_asked_slice(self, step: int = 1, *, first: bool = False) -> int | None:
        """Show the next slice that is asked for: see `walking.show_next`."""
        return None if self.case is None else show_next(self.case, self._scene, step, first=first)

    def mark_slice(self) -> int:
        """Mark the shown slice as done, or take the mark back: see `walking.mark_shown`."""
        index, self.line = mark_shown(self._case(), self._scene)
        return index

    def show_uncertainty(self, share: float) -> None:
        """Show where the model is uncertain, over the image, with an opacity from 0 to 1."""
        case, server = self._case(), self._server()
        if share > 0 and not case.overlay:
            self._scene.show_overlay(self._asking(lambda: server.uncertainty_file(case.image, self._work_folder)))
            case.overlay = True
        if case.overlay:
            self._scene.set_overlay_opacity(share)

    # What others do

    def worklist(self) -> tuple[Row, ...]:
        """All cases of the project, with states and notes."""
        return self._asking(self._server().worklist)

    def progress(self) -> Progress:
        """How far the project is."""
        return self._asking(self._server().progress)

    def take_review(self, image: str | None = None) -> bool:
        """Open a finished label for review: that of an image, or the one that has waited longest. False: none waits."""
        server, project = self._server(), self._project()
        self.keep_draft()
        review = self._asking(lambda: server.review(image))
        if review is None:
            self.line = "no label waits for your review"
            return False
        waiting = self._box().of(review.image)
        self._begin(lambda: open_review(server, self._scene, project, review, self._work_folder, waiting))
        self.line = f"{review.image}: version {review.version} by {review.annotator}"
        return True

    def approve(self, note: str = "") -> None:
        """Approve the label under review. If the reviewer has corrected it, their drawing is sent first."""
        case, server = self._case(), self._server()
        review = _required(case.review)
        if self._stamp() != case.kept or self._box().of(case.image) is not None:
            covered = {} if review.slices is None else {"annotated_slices": list(review.slices)}
            entry = self._write(case, CORRECTION, {"finished": True, "confirmed": True, **covered})
            case.kept = self._stamp()
            saved = self._asking(lambda: self._send_entry(entry))
            if saved.state != "finished":
                raise CaseError(f"{case.image} is not approved: {saved.message}")
            # The review of the version before has ended with it.
            review = case.review = _required(self._asking(lambda: server.review(case.image)))
        self._asking(lambda: server.approve(case.image, note, review.version))
        self._close_case()
        self.line = f"{case.image} is approved"

    def return_label(self, note: str) -> None:
        """Return the label under review to its annotator, with a note. What the reviewer has drawn is given up."""
        case, server = self._case(), self._server()
        review = _required(case.review)
        if not note.strip():
            raise CaseError("write what the annotator should correct")
        self._asking(lambda: server.return_label(case.image, note.strip(), review.version))
        waiting = self._box().of(case.image)
        if waiting is not None and waiting.kind == CORRECTION:
            self._box().remove(waiting)
        self._close_case()
        self.line = f"{case.image} is returned"

    # Steps of these

    def _begin(self, opening: Callable[[], Opened]) -> None:
        self._close_case()
        opened = self._asking(opening)
        self.case = Case(opened.image, opened.opened_with, opened.query, opened.review, set(opened.done))
        self.case.opened = self.case.kept = self._stamp()
        self._active.forget()
        now = self._clock()
        self._due = {"draft": now + DRAFT_SECONDS, "heartbeat": now + HEARTBEAT_SECONDS, "retry": 0.0}

    def _write(self, case: Case, kind: str, params: Mapping[str, Any]) -> Unsent:
        labels, box = self._project().labels, self._box()
        self._scene.write_label(box.place(case.image), labels)
        names = [{"name": name, "idx": position + 1} for position, name in enumerate(labels)]
        return box.put(case.image, kind, {**params, "label_info": names})

    def _send_entry(self, entry: Unsent) -> Saved:
        server = self._server()
        send = server.save_draft if entry.kind == DRAFT else server.save_label
        try:
            saved = send(entry.image, entry.file, entry.params)
        except RefusedError as error:
            self._box().refuse(entry, str(error))
            raise
        self._box().remove(entry)
        return saved

    def _send_heartbeat(self) -> None:
        if self.case is None or self.case.query is None or not self.connected:
            return
        seconds = self._active.take()
        if seconds < 1.0:
            self._active.give_back(seconds)
            return
        try:
            self._server().heartbeat(self.case.image, seconds)
        except SilentError as error:
            self._active.give_back(seconds)
            self._lost(error)
        except RefusedError as error:  # the query has expired, for example: the drawing counts all the same
            self.line = str(error)

    def _is_due(self, what: str, now: float, every: float) -> bool:
        if now < self._due[what]:
            return False
        self._due[what] = now + every
        return True

    def _asking(self, request: Callable[[], Any]) -> Any:
        """Ask the server something. What waits is sent first: the answer may depend on it."""
        if not self.connected and not self.reconnect():
            raise SilentError(f"{self._server().address} does not answer; what you draw is kept here until it does")
        try:
            return request()
        except SilentError as error:
            self._lost(error)
            raise

    def _lost(self, error: SilentError) -> None:
        self.connected = False
        self._due["retry"] = self._clock() + RETRY_SECONDS
        self.line = f"{error}; what you draw is kept here until it does"

    def _stamp(self) -> Hashable:
        case = self._case()
        return self._scene.stamp(), frozenset(case.done)

    def _close_case(self) -> None:
        self.case = None
        self._scene.clear()

    def _case(self) -> Case:
        if self.case is None:
            raise CaseError("no case is open: press Next case")
        return self.case

    def _server(self) -> Server:
        if self.server is None:
            raise CaseError("not connected: enter the address of the server and press Connect")
        return self.server

    def _project(self) -> Project:
        self._server()
        assert self.project is not None
        return self.project

    def _box(self) -> Outbox:
        self._server()
        assert self._outbox is not None
        return self._outbox


def _required(review: Review | None) -> Review:
    if review is None:
        raise CaseError("no label is under review: take one first")
    return review
