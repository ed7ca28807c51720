"""The lower part of the panel: a tab for reviewers, the worklist, and the progress of the project."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import qt

from ActiveLabelLib.panel.curve import curve_svg
from ActiveLabelLib.panel.doing import Doing
from ActiveLabelLib.panel.panel_parts import box, button, choice, fill, line, row, table, text_of, words
from ActiveLabelLib.panel.texts import can_be_brought_back, counts_text, readings_text
from ActiveLabelLib.server.answers import Progress, Row, Worklist
from ActiveLabelLib.session.reviewing import FIRST, SECOND, STAPLE
from ActiveLabelLib.session.session import Session

REVIEW_TAB, WORKLIST_TAB, PROGRESS_TAB = range(3)
ALL_STATES = "all states"
STATES = (
    "unseen",
    "leased",
    "draft",
    "partly finished",
    "finished",
    "in review",
    "approved",
    "returned",
    "skipped",
    "cannot be annotated",
)


class Tabs:
    """The tabs, around a session.

    Attributes:
        widget: the widget that holds them.
    """

    def __init__(
        self,
        session: Session,
        doing: Doing,
        may_leave: Callable[[], bool],
        confirm: Callable[[str], bool],
        work_folder: Path,
    ) -> None:
        """Show `session`.

        Args:
            session: what the buttons act on.
            doing: does beside the window what is asked for.
            may_leave: asks before something unfinished is left.
            confirm: asks a person a question, and says whether they agree.
            work_folder: a folder for pictures.
        """
        self._session = session
        self._doing = doing
        self._may_leave = may_leave
        self._confirm = confirm
        self._work_folder = work_folder
        self.widget = qt.QTabWidget()
        self.widget.addTab(self._review_box(), "Review")
        self.widget.addTab(self._worklist_box(), "Worklist")
        self.widget.addTab(self._progress_box(), "Progress")
        self.widget.currentChanged.connect(lambda *_: self._show_tab())

    def _review_box(self) -> qt.QWidget:
        self._note = line("note for the annotator")
        self._take = button("Take the next label", lambda: self._take_label(None), "The one that has waited longest")
        self._approve = button("Approve", self._do_approve, "What is shown is right, or you have corrected it")
        self._return = button("Return", self._do_return, "Its annotator corrects it; say what in the note")
        self._readings_text = words()
        self._first = button("Show first", lambda: self._show_reading(FIRST), "Show the first reading")
        self._second = button("Show second", lambda: self._show_reading(SECOND), "Show the second reading")
        self._merge = button("Merge both", self._do_merge, "One label of both, by STAPLE, is approved")
        self._readings = box("Two readings", self._readings_text, row(self._first, self._second, self._merge))
        return box("", self._note, self._take, row(self._approve, self._return), self._readings)

    def _worklist_box(self) -> qt.QWidget:
        self._worklist = table(["Case", "Role", "State", "Who", "Note"])
        self._worklist.cellDoubleClicked.connect(lambda number, *_: self._review_row(int(number)))
        self._worklist.currentCellChanged.connect(lambda number, *_: self._choose_row(int(number)))
        self._rows: tuple[Row, ...] = ()
        self._chosen: Row | None = None
        self._back = button("Bring back", self._bring_back, "Ask for a case again that cannot be annotated")
        self._state = choice("state", (ALL_STATES, *STATES), self._fill_worklist)
        self._counts = words()
        self._choose_row(-1)
        buttons = row(self._state, button("Refresh", self._fill_worklist), self._back)
        return box("", buttons, self._counts, self._worklist)

    def _progress_box(self) -> qt.QWidget:
        self._curve, self._progress_text = qt.QLabel(), words()
        return box("", self._progress_text, self._curve)

    # Review

    def _take_label(self, image: str | None) -> None:
        if self._may_leave():
            self._doing.do(lambda: self._session.reviews.take(image), leaves=True)

    def _review_row(self, number: int) -> None:
        if self._session.user is not None and self._session.user.may_review:
            self._take_label(str(self._worklist.item(number, 0).text()))

    def _do_approve(self) -> None:
        note = text_of(self._note)
        self._doing.do(lambda: self._session.reviews.approve(note), self._clear_note, leaves=True)

    def _do_return(self) -> None:
        note = text_of(self._note)
        self._doing.do(lambda: self._session.reviews.send_back(note), self._clear_note, leaves=True)

    def _clear_note(self) -> None:
        """Forget the note of a label that is decided about: it does not belong to the next one."""
        if self._session.case is None:
            self._note.setText("")

    def _show_reading(self, which: str) -> None:
        if self._may_give_up():
            self._doing.do(lambda: self._session.reviews.show_reading(which), leaves=True)

    def _do_merge(self) -> None:
        if self._may_give_up():
            note = text_of(self._note)
            self._doing.do(lambda: self._session.reviews.adjudicate(STAPLE, note), self._clear_note, leaves=True)

    def _may_give_up(self) -> bool:
        """Ask before a reviewer's correction is given up."""
        if not self._session.reviews.is_corrected:
            return True
        return self._confirm("What you have drawn is given up. Go on?")

    # Worklist and progress

    def _show_tab(self) -> None:
        shown = int(self.widget.property("currentIndex"))
        if self._session.server is not None and shown == WORKLIST_TAB:
            self._fill_worklist()
        if self._session.server is not None and shown == PROGRESS_TAB:
            self._show_progress()

    def _choose_row(self, number: int) -> None:
        self._chosen = self._rows[number] if 0 <= number < len(self._rows) else None
        self._back.setEnabled(can_be_brought_back(self._chosen))

    def _bring_back(self) -> None:
        chosen = self._chosen
        if chosen is not None and can_be_brought_back(chosen):
            self._doing.do(lambda: self._session.bring_back(chosen.image), self._fill_worklist)

    def _fill_worklist(self) -> None:
        chosen = str(self._state.property("currentText"))

        states = () if chosen == ALL_STATES else (chosen,)
        answers: list[Worklist] = []

        def show() -> None:
            found = answers[0]
            self._counts.setText(counts_text(found.counts))
            self._rows = found.rows
            fill(self._worklist, [(one.image, one.role, one.state, one.who, one.note) for one in found.rows])
            self._worklist.setCurrentCell(-1, -1)

        self._doing.do(lambda: answers.append(self._session.worklist(states)), show)

    def renew_progress(self) -> None:
        """Show the progress anew, if it is shown."""
        if self._session.connected and int(self.widget.property("currentIndex")) == PROGRESS_TAB:
            self._show_progress()

    def _show_progress(self) -> None:
        answers: list[Progress] = []

        def show() -> None:
            found = answers[0]
            lines = (found.running, found.line, found.forecast)
            self._progress_text.setText("\n".join(text for text in lines if text))
            picture = self._work_folder / "curve.svg"
            picture.write_text(curve_svg(found.curve, found.unit), encoding="utf-8")
            self._curve.setPixmap(qt.QPixmap(str(picture)))

        self._doing.look(lambda: answers.append(self._session.progress()), show)

    # Always

    def refresh(self) -> None:
        """Show what the session has now."""
        session, case = self._session, self._session.case
        self._take.setEnabled(session.user is not None and session.user.may_review)
        for made in (self._approve, self._return):
            made.setEnabled(case is not None and case.review is not None)
        text = readings_text(case)
        self._readings_text.setText(text)
        self._readings.setVisible(bool(text))
