"""The work of one person: cases that open, are drawn, and go back. Every button of the panel is one method here.

What a reviewer does is in `reviewing.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ActiveLabelLib.errors import CancelledError, CaseError, RefusedError, SilentError
from ActiveLabelLib.outbox.unsent import FINISHED
from ActiveLabelLib.server.answers import Progress, Project, Saved, User, Worklist
from ActiveLabelLib.server.server import Server, connect
from ActiveLabelLib.session.case import Case, Scene
from ActiveLabelLib.session.link import Link
from ActiveLabelLib.session.opening import open_query
from ActiveLabelLib.session.reviewing import Reviewing
from ActiveLabelLib.session.walking import mark_shown, show_next
from ActiveLabelLib.session.workplace import Workplace


class Session:
    """A person at a server, with the case that they have open.

    Attributes:
        reviews: what they do as a reviewer.
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
        self._scene = scene
        self._work_folder = work_folder
        self._link = Link(unsent_folder, make_server, clock)
        self._place = Workplace(scene, self._link, clock)
        self.reviews = Reviewing(self._place, work_folder)

    # What the panel shows

    @property
    def server(self) -> Server | None:
        """The server; None before the first connection."""
        return self._link.server

    @property
    def connected(self) -> bool:
        """Whether the server answered the last request."""
        return self._link.connected

    @property
    def user(self) -> User | None:
        """Who the server takes the person for."""
        return self._link.user

    @property
    def project(self) -> Project | None:
        """The project's labels."""
        return self._link.project

    @property
    def case(self) -> Case | None:
        """The open case."""
        return self._place.case

    @property
    def line(self) -> str:
        """What happened last, for the person."""
        return self._link.line

    @property
    def is_drawn(self) -> bool:
        """Whether the person has drawn in the open case, or marked slices, and not finished it."""
        return self._place.is_drawn

    @property
    def is_unsaved(self) -> bool:
        """Whether the server lacks something that is drawn."""
        return self._place.is_unsaved

    # The server

    def connect(self, address: str, name: str, password: str = "", certificate: str = "") -> None:
        """Connect, and send what the server does not have yet. A case of another server or person is closed."""
        self.keep_draft()
        # The drawing is kept for whom it belongs to.
        self._link.connect(address, name, password, certificate, leave=self._place.keep_and_close)
        self._link.send()

    def tick(self, activity: Hashable = None) -> None:
        """Do what is due: called every second with a stamp of the person's input.

        A drawing that has changed is kept every 30 s, active seconds are sent every 15 s, and a server that is silent
        is asked every 10 s, as is one that has failed at a drawing.
        """
        self._place.note_input(activity)
        if self.server is None:
            return
        self._place.keep_draft_if_due()
        if self.connected:
            self._place.send_heartbeat_if_due()
        self._link.retry()
        self._close_if_it_had_come()

    # A case

    def next_case(self) -> bool:
        """Open the next case; False if nothing is left. A changed drawing is kept as a draft first."""
        self.keep_draft()
        server, project = self._link.require_server(), self._link.require_project()
        sample = self._link.ask(lambda: server.next_sample(project.strategy))
        if not sample:
            self._place.keep_and_close()
            self._link.line = "nothing is left to annotate"
            return False
        query = self._link.ask(server.query)
        if query is None or query.image != sample["id"]:
            raise CaseError(f"{sample['id']} was given to somebody else meanwhile: press the button again")
        if self.case is not None and self.case.query is not None and self.case.image == query.image:
            self.case.query = query  # the same case, with the drawing that is on the screen
        else:
            project = self._link.project = self._link.ask(server.project)  # a first model may have come
            path, work, box = str(sample["path"]), self._work_folder, self._link.outbox
            waiting, marks = box.take(query.image), box.marks_of(query.image)
            self._place.begin(lambda: open_query(server, self._scene, project, query, path, work, waiting, marks))
        self._link.line = query.reason
        self.next_asked_slice(first=True)
        return True

    def keep_draft(self, *, force: bool = False) -> bool:
        """Keep the drawing: here, and at the server if it answers. Unless `force`, only if it has changed since."""
        return self._place.keep_draft(force=force)

    def finish(self) -> Saved:
        """Send the drawing as finished. The case closes, unless the server asks it back as a draft.

        Slices that are marked as done are those that the label covers; without marks it covers what is asked for.
        """
        case = self._annotated_case("this label is under review: approve it, or return it")
        if not self.connected:
            self._link.reconnect()
        self._place.send_heartbeat()
        saved = self._send_finished(case)
        while saved.state == "finished" and not self._place.close_unchanged(case.kept):  # drawn on while it was sent
            saved = self._send_finished(case)
        self._link.line = f"{case.image}: {saved.state}" + (f", {saved.message}" if saved.message else "")
        if saved.state == "finished":
            self._link.outbox.keep_marks(case.image, ())
        return saved

    def _send_finished(self, case: Case) -> Saved:
        """Send the drawing as it is now. If it does not get there, it is a draft until the button is pressed again."""
        server = self._link.require_server()
        unheard = case.unheard

        def send() -> Saved:
            # It is written when the server answers: what waits is sent before, and would take it along.
            nonlocal unheard
            entry = self._place.write(case, FINISHED, _finished_params)
            unheard = case.kept
            return self._link.send_entry(entry)

        try:
            saved = self._link.ask(send)
        except SilentError as error:
            case.unheard = unheard
            self._place.write_draft(case)
            cancelled = isinstance(error, CancelledError)
            why = "cancelled" if cancelled else f"{server.address} does not answer"
            raise (CancelledError if cancelled else SilentError)(
                f"{why}: the drawing is kept here and goes there as a draft when the server answers, unless it has "
                "come; finish it then"
            ) from error
        except RefusedError as error:
            if error.may_pass or not self.connected:
                self._place.write_draft(case)
                self._link.lost(error)
            elif error.is_fault:
                case.unheard = unheard
                self._place.write_draft(case)
                self._link.note_fault(error)
            raise
        case.unheard = None
        return saved

    def skip(self, kind: str, reason: str) -> None:
        """Skip the case: `not now` or `cannot be annotated`. What is drawn is kept as a draft first."""
        case = self._annotated_case("a label under review is not skipped: release it")
        server = self._link.require_server()
        self.keep_draft()
        self._link.ask(lambda: server.skip(case.image, kind, reason))
        while not self._place.close_unchanged(case.kept):  # drawn on meanwhile
            self._place.write_draft(case)
        self._link.hold_back(case.image, f"the case was skipped: {kind}")
        self._link.line = f"{case.image} is skipped: {kind}"

    def release(self) -> None:
        """Let go of the case without a word. What is drawn is kept as a draft first."""
        image = self._place.require_case().image
        self.keep_draft()
        self._link.ask(self._link.require_server().release)
        self._place.keep_and_close()
        self._link.line = f"{image} is released"

    def close(self) -> None:
        """Keep what is unsaved, and say the last active seconds: called when the scene closes."""
        if self.case is not None and self.server is not None:
            self.keep_draft()
            self._place.take_back_finish()
            self._place.send_heartbeat()

    def leave(self) -> None:
        """Forget the case, whose drawing is gone from the scene: the server keeps it for the person for a while."""
        self._place.close_case()

    def end(self) -> None:
        """Keep what is unsaved, and leave what waits here to the next Slicer: called when the module or Slicer ends."""
        try:
            self.close()
        finally:
            self._link.end()

    def _close_if_it_had_come(self) -> None:
        """Close a case that the server had finished though its answer was lost, unless the person has drawn on."""
        case, had_come = self.case, self._link.had_come
        came = case is not None and case.image in had_come
        had_come.clear()
        if case is not None and came and self._place.close_unchanged(case.kept):
            self._link.outbox.keep_marks(case.image, ())
            self._link.line = f"{case.image}: finished, as the server had it already"

    def _annotated_case(self, refusal: str) -> Case:
        case = self._place.require_case()
        if case.review is not None:
            raise CaseError(refusal)
        return case

    # Slices

    def next_asked_slice(self, step: int = 1, *, first: bool = False) -> int | None:
        """Show the next slice that is asked for: see `walking.show_next`."""
        return None if self.case is None else show_next(self.case, self._scene, step, first=first)

    def mark_slice(self) -> int:
        """Mark the shown slice as done, or take the mark back: see `walking.mark_shown`."""
        index, self._link.line = mark_shown(self._place.require_case(), self._scene)
        return index

    def fetch_uncertainty(self) -> Path | None:
        """The file of the map of where the model is uncertain in the open case; None if it is shown already.

        It may take minutes, and needs nothing else of the session: it may run beside everything else.
        """
        case, server = self._place.require_case(), self._link.require_server()
        return None if case.overlay else server.uncertainty_file(case.image, self._work_folder)

    def show_uncertainty(self, share: float, file: Path | None = None) -> None:
        """Show the map over the image, with an opacity from 0 to 1; `file` is what was fetched of the open case."""
        case = self._place.require_case()
        if file is not None:
            self._scene.show_overlay(file)
            case.overlay = True
        if case.overlay:
            self._scene.set_overlay_opacity(share)

    # What others do

    def worklist(self, states: Collection[str] = ()) -> Worklist:
        """The cases of the project in some states, or in all if none are given, with states and notes."""
        server = self._link.require_server()
        return self._link.ask(lambda: server.worklist(states))

    def bring_back(self, image: str) -> None:
        """Bring back a case that somebody has set aside: it is asked for again."""
        server = self._link.require_server()
        self._link.ask(lambda: server.bring_back(image))
        self._link.line = f"{image} is brought back"

    def progress(self) -> Progress:
        """How far the project is."""
        return self._link.ask(self._link.require_server().progress)


def _finished_params(marked: Sequence[int]) -> Mapping[str, Any]:
    return {"finished": True, **({"annotated_slices": list(marked)} if marked else {})}
