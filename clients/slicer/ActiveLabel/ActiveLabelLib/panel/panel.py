"""The panel: what a person sees of a `Session`, and the buttons that call it. It decides nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import qt

from ActiveLabelLib.panel.doing import Doing
from ActiveLabelLib.panel.panel_parts import box, button, line, row, text_of, words
from ActiveLabelLib.panel.panel_tabs import Tabs
from ActiveLabelLib.panel.texts import case_text, expiry_text, slices_text
from ActiveLabelLib.session.case import Case
from ActiveLabelLib.session.errands import Errands
from ActiveLabelLib.session.session import Session

PREVIOUS_KEY, NEXT_KEY, DONE_KEY = "Shift+B", "Shift+F", "Shift+D"
"""Slicer's views go to the next slice with F and back with B; a key that its Segment Editor has would do nothing."""
SECOND_MS = 1000
PROGRESS_SECONDS = 5
NOT_NOW, CANNOT = "not now", "cannot be annotated"


class Panel:
    """The widgets of the module, around a session.

    Attributes:
        widget: the widget that holds all others.
        may_draw: whether a person may draw now: not while a case is being left.
    """

    def __init__(
        self,
        session: Session,
        errands: Errands,
        confirm: Callable[[str], bool],
        case_changed: Callable[[], None],
        let_draw: Callable[[bool], None],
        remember: Callable[[Mapping[str, str]], None],
        remembered: Mapping[str, str],
        work_folder: Path,
        editor: qt.QWidget,
    ) -> None:
        """Show `session`.

        Args:
            session: what the buttons act on.
            errands: what they do runs beside the window by these.
            confirm: asks a person a question, and says whether they agree.
            case_changed: is called after a case was opened or closed.
            let_draw: is called with whether a person may draw, when that changes: not while a case is being left.
            remember: keeps what was entered for the next time.
            remembered: what was entered the last time.
            work_folder: a folder for pictures.
            editor: the widget with which a person draws.
        """
        self._session = session
        self._confirm = confirm
        self._case_changed = case_changed
        self._let_draw = let_draw
        self.may_draw = True
        self._map_of: Case | None = None
        self._remember = remember
        self._shown_case: object = None
        self._seconds = 0
        self._enters = True
        self.widget = qt.QWidget()
        layout = qt.QVBoxLayout(self.widget)
        doing = self._doing = Doing(session, errands, self.refresh)
        self._server = self._server_box(remembered)
        self._case = self._case_box()
        self._slices = self._slices_box()
        self._tabs = Tabs(session, doing, self._may_leave, confirm, work_folder)
        for part in (doing.status, doing.cancel, self._server, self._case, self._slices, editor, self._tabs.widget):
            layout.addWidget(part)
        self._add_keys()
        self._timer = qt.QTimer()
        self._timer.setInterval(SECOND_MS)
        self._timer.timeout.connect(self.tick)
        self._timer.start()
        self.refresh()

    # What a person sees

    def _server_box(self, remembered: Mapping[str, str]) -> qt.QWidget:
        self._address, self._name = line("http://127.0.0.1:8000"), line("your name")
        self._password = line("password, if the server wants one", hidden=True)
        self._certificate = line("file of the server's own certificate, if it has one")
        for field, key in ((self._address, "address"), (self._name, "name"), (self._certificate, "certificate")):
            field.setText(remembered.get(key, ""))
        fields = (self._address, self._name, self._password, self._certificate)
        connect = button("Connect", self._connect, "Connect, and send what waits here")
        self._entry = box("Server", *fields, connect)
        self._change = button("Another server or name", self._change_server, "")
        return row(self._entry, self._change)

    def _case_box(self) -> qt.QWidget:
        self._case_text, self._expiry = words(), words()
        self._reason = line("reason of a skip, in one line")
        self._next = button("Next case", self._next_case, "Open what the server asks for")
        self._finish = button("Finish", self._do_finish, "Send the drawing: it counts")
        self._finish_next = button("Finish and next", self._do_finish_next, "Send the drawing, and open the next case")
        self._draft = button("Keep draft", self._keep, "Keep the drawing; it is also kept every 30 s")
        self._not_now = button("Not now", lambda: self._skip(NOT_NOW), "Skip the case: it comes again later")
        self._cannot = button("Cannot be annotated", lambda: self._skip(CANNOT), "Nobody is asked for it any more")
        self._release = button("Release", self._do_release, "Let go of the case without a word")
        return box(
            "Case",
            self._case_text,
            self._expiry,
            row(self._next, self._finish_next),
            row(self._finish, self._draft, self._release),
            self._reason,
            row(self._not_now, self._cannot),
        )

    def _slices_box(self) -> qt.QWidget:
        self._slices_text = words()
        self._previous_slice = button("Previous slice", lambda: self._show_slice(-1), "", PREVIOUS_KEY)
        self._slice_done = button("Slice done", self._mark, "Mark the shown slice, or take it back", DONE_KEY)
        self._next_slice = button("Next slice", lambda: self._show_slice(1), "", NEXT_KEY)
        self._opacity = qt.QSlider(qt.Qt.Horizontal)
        self._opacity.setObjectName("opacity")
        self._opacity.setRange(0, 100)
        self._opacity.valueChanged.connect(lambda *_: self._overlay())
        steps = row(self._previous_slice, self._slice_done, self._next_slice)
        return box("Slices", self._slices_text, steps, row(words("Uncertainty"), self._opacity))

    def _add_keys(self) -> None:
        actions = ((PREVIOUS_KEY, lambda: self._show_slice(-1)), (NEXT_KEY, lambda: self._show_slice(1)))
        for key, action in (*actions, (DONE_KEY, self._mark)):
            shortcut = qt.QShortcut(qt.QKeySequence(key), self.widget)
            shortcut.setContext(qt.Qt.ApplicationShortcut)  # the mouse is over a view, not over the panel
            shortcut.activated.connect(action)

    # Buttons

    def _connect(self) -> None:
        entered = {
            "address": text_of(self._address),
            "name": text_of(self._name),
            "certificate": text_of(self._certificate),
        }
        password = text_of(self._password)

        def connect() -> None:
            address = entered["address"] or "http://127.0.0.1:8000"
            self._session.connect(address, entered["name"], password, entered["certificate"])

        def connected() -> None:
            self._remember(entered)
            self._password.setText("")  # the next person at this workstation shall not find it
            self._enters = False

        self._doing.do(connect, connected, leaves=True)

    def _change_server(self) -> None:
        self._enters = True
        self.refresh()

    def _next_case(self) -> None:
        if self._may_leave():
            self._doing.do(self._session.next_case, leaves=True)

    def _do_finish(self) -> None:
        if self._may_finish():
            self._doing.do(self._session.finish, leaves=True)

    def _do_finish_next(self) -> None:
        def finish_then_next() -> None:
            if self._session.finish().state == "finished":
                self._session.next_case()

        if self._may_finish():
            self._doing.do(finish_then_next, leaves=True)

    def _keep(self) -> None:
        self._doing.do(lambda: self._session.keep_draft(force=True))

    def _skip(self, kind: str) -> None:
        reason = text_of(self._reason)
        self._doing.do(lambda: self._session.skip(kind, reason), lambda: self._reason.setText(""), leaves=True)

    def _do_release(self) -> None:
        self._doing.do(self._session.release, leaves=True)

    def _show_slice(self, step: int) -> None:
        self._doing.do_here(lambda: self._session.next_asked_slice(step))

    def _mark(self) -> None:
        if not self._doing.leaves:  # its key is not grey
            self._doing.do_here(self._session.mark_slice)

    def _overlay(self) -> None:
        case = self._session.case
        if self._share == 0 or case is None or case.overlay:
            self._doing.do_here(lambda: self._session.show_uncertainty(self._share))
        elif case is not self._map_of or not self._doing.fetches_map:
            self._map_of = case
            found: list[Path | None] = []
            self._doing.fetch_map(
                lambda: found.append(self._session.fetch_uncertainty()),
                lambda: self._show_map(case, found[0]),
            )

    def _show_map(self, case: Case, file: Path | None) -> None:
        """Show a map that was fetched, as opaque as the slider says now, unless its case has been left."""
        if self._session.case is case:
            self._doing.do_here(lambda: self._session.show_uncertainty(self._share, file))
            self._doing.say(self._session.line)

    @property
    def _share(self) -> float:
        return int(self._opacity.property("value")) / 100

    def _may_finish(self) -> bool:
        """Ask before a label counts for less than was asked for."""
        case = self._session.case
        if case is None or case.query is None or not case.done:
            return True
        unmarked = set(case.query.asked or range(case.query.places.count)) - case.done
        question = f"{len(unmarked)} slices that were asked for are not marked as done, and will not count. Go on?"
        return not unmarked or self._confirm(question)

    def _may_leave(self) -> bool:
        """Ask before something unfinished is left."""
        case = self._session.case
        if case is None or not self._session.is_drawn:
            return True
        becomes = "kept on this machine" if case.review is not None else "kept as a draft, which comes first again"
        return self._confirm(f"{case.image} is not finished. Its drawing is {becomes}. Go on?")

    # Always

    def tick(self) -> None:
        """Do what is due every second."""
        self._seconds += 1
        active = qt.QApplication.activeWindow() is not None
        mouse = qt.QCursor.pos()
        stamp = (mouse.x(), mouse.y()) if active else None
        if self._doing.tick(lambda: self._session.tick(stamp)) and self._seconds % PROGRESS_SECONDS == 0:
            self._tabs.renew_progress()

    def leave(self) -> None:
        """Keep what is unsaved, and forget the case: called before the scene loses it."""
        self._doing.break_off()
        try:
            self._doing.do_here(self._session.close)
        finally:
            self._session.leave()
            self.refresh()

    def close(self) -> None:
        """Keep what is unsaved: called when the module or Slicer closes."""
        self._timer.stop()
        self._doing.break_off()
        self._doing.do_here(self._session.end)

    def refresh(self) -> None:
        """Show what the session has now."""
        session, case = self._session, self._session.case
        if case is not self._shown_case:
            self._shown_case = case
            self._opacity.blockSignals(True)
            self._opacity.setValue(0)
            self._opacity.blockSignals(False)
            self._case_changed()
        query = None if case is None else case.query
        free, may_draw = not self._doing.asked, not self._doing.leaves
        if may_draw != self.may_draw:
            self.may_draw = may_draw
            self._let_draw(may_draw)
        self._doing.cancel.setVisible(not free or self._doing.fetches_map)
        for box_ in (self._server, self._case, self._tabs.widget):
            box_.setEnabled(free)
        self._entry.setVisible(self._enters)
        self._change.setVisible(not self._enters)
        self._case_text.setText(case_text(session))
        self._expiry.setText(expiry_text(case))
        self._slices_text.setText(slices_text(case))
        self._next.setEnabled(session.server is not None)
        for made in (self._finish, self._finish_next, self._draft, self._not_now, self._cannot):
            made.setEnabled(query is not None)
        self._slice_done.setEnabled(query is not None and may_draw)
        self._release.setEnabled(case is not None)
        self._opacity.setEnabled(case is not None and session.project is not None and session.project.has_model)
        for made in (self._previous_slice, self._next_slice):
            made.setEnabled(query is not None and bool(query.asked))
        self._tabs.refresh()
