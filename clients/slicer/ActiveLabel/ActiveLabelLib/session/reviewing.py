"""What a reviewer does: they take a label, and approve it, correct it, return it, or decide between two readings."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path

from ActiveLabelLib.errors import CaseError
from ActiveLabelLib.outbox.unsent import CORRECTION
from ActiveLabelLib.server.answers import Review
from ActiveLabelLib.session.case import Case
from ActiveLabelLib.session.opening import open_review, reading_file
from ActiveLabelLib.session.workplace import Workplace

FIRST, SECOND, STAPLE = "first", "second", "staple"
"""Which label counts after two readings have differed: one of them, or one merged of both."""


class Reviewing:
    """Reviews at a workplace."""

    def __init__(self, place: Workplace, work_folder: Path) -> None:
        """Review at `place`; downloads lie in `work_folder`."""
        self._place = place
        self._link = place.link
        self._work_folder = work_folder

    @property
    def is_corrected(self) -> bool:
        """Whether the reviewer has drawn in the label under review, now or before it was opened."""
        case = self._place.case
        if case is None or case.review is None:
            return False
        return self._place.is_drawn or self._link.outbox.of(case.image) is not None

    def take(self, image: str | None = None) -> bool:
        """Open a finished label for review: that of an image, or the one that has waited longest. False: none waits."""
        server, project = self._link.require_server(), self._link.require_project()
        self._place.keep_draft()
        review = self._link.ask(lambda: server.review(image))
        if review is None:
            self._link.line = "no label waits for your review"
            return False
        waiting = self._link.outbox.take(review.image)
        scene, folder = self._place.scene, self._work_folder
        self._place.begin(lambda: open_review(server, scene, project, review, folder, waiting))
        self._link.line = f"{review.image}: version {review.version} by {review.annotator}"
        return True

    def show_reading(self, which: str) -> None:
        """Show the first or the second of two readings, in the stead of what is drawn, which is given up."""
        case, _ = self._under_review()
        server, project = self._link.require_server(), self._link.require_project()
        if case.reading is None:
            raise CaseError(f"{case.image} has no two readings between which somebody has to decide")
        seen, folder = self._place.stamp(), self._work_folder
        file = self._link.ask(lambda: reading_file(server, case.image, second=which == SECOND, folder=folder))

        def show() -> None:
            if self._place.stamp() != seen:
                raise CaseError("you have drawn on meanwhile: look at it, and press the button again")
            self._place.scene.open_label(file, project.values)
            case.reading = which
            case.opened = case.kept = self._place.stamp()

        self._place.scene.at_once(show)
        self._forget_correction(case)
        self._link.line = f"the {which} reading of {case.image}"

    def approve(self, note: str = "") -> None:
        """Approve what is on the screen: the label or reading as it is, or the reviewer's correction, sent first."""
        case, review = self._under_review()
        seen = self._place.stamp()
        if self.is_corrected:
            review = self._send_correction(case, review)
            seen = case.kept
        elif case.reading is not None:
            self._take_reading(case, case.reading, note, seen)
            return
        server, version = self._link.require_server(), review.version
        self._link.ask(lambda: server.approve(case.image, note, version))
        self._link.line = f"{case.image} is approved{self._close(case, seen)}"

    def adjudicate(self, take: str, note: str = "") -> None:
        """Decide between two readings: `first`, `second`, or `staple`, which merges both. A correction is given up."""
        case, _ = self._under_review()
        if case.reading is None:
            raise CaseError(f"{case.image} has no two readings between which somebody has to decide")
        self._take_reading(case, take, note, self._place.stamp())

    def send_back(self, note: str) -> None:
        """Return the label under review to its annotator, with a note. What the reviewer has drawn is given up."""
        case, review = self._under_review()
        if not note.strip():
            raise CaseError("write what the annotator should correct")
        server, seen = self._link.require_server(), self._place.stamp()
        self._link.ask(lambda: server.return_label(case.image, note.strip(), review.version))
        self._forget_correction(case)
        self._link.line = f"{case.image} is returned{self._close(case, seen)}"

    # Steps of these

    def _take_reading(self, case: Case, take: str, note: str, seen: Hashable) -> None:
        server = self._link.require_server()
        self._link.ask(lambda: server.adjudicate(case.image, take, note))
        self._forget_correction(case)
        what = "one label of both readings" if take == STAPLE else f"the {take} reading"
        self._link.line = f"{case.image}: {what} is approved{self._close(case, seen)}"

    def _close(self, case: Case, seen: Hashable) -> str:
        """Close a case that is decided about. What was drawn since it was `seen` is kept here; words about that."""
        words = ""
        while not self._place.close_unchanged(seen):
            self._place.write_correction(case)
            seen = case.kept
            words = "; what you have drawn meanwhile is kept here, and opens when you take the label again"
        return words

    def _under_review(self) -> tuple[Case, Review]:
        case = self._place.require_case()
        if case.review is None:
            raise CaseError("no label is under review: take one first")
        return case, case.review

    def _send_correction(self, case: Case, review: Review) -> Review:
        """Send what the reviewer has drawn as the label, and take that for review, as the review before has ended."""
        covered = {} if review.slices is None else {"annotated_slices": list(review.slices)}
        entry = self._place.write(case, CORRECTION, lambda _: {"finished": True, "confirmed": True, **covered})
        sent = case.kept
        saved = self._link.ask(lambda: self._link.send_entry(entry))
        if saved.state != "finished":
            raise CaseError(f"{case.image} is not approved: {saved.message}")
        case.opened = sent
        case.reading = None  # they are decided about by this label
        server = self._link.require_server()
        case.review = self._link.ask(lambda: server.review(case.image))
        if case.review is None:
            raise CaseError("no label is under review: take one first")
        return case.review

    def _forget_correction(self, case: Case) -> None:
        waiting = self._link.outbox.of(case.image)
        if waiting is not None and waiting.kind == CORRECTION:
            self._link.outbox.remove(waiting)
