"""The case on the screen: how it opens, what is drawn in it, and how its drawing is kept."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from ActiveLabelLib.errors import CaseError, RefusedError, SilentError
from ActiveLabelLib.outbox.unsent import CORRECTION, DRAFT, FINISHED, Unsent
from ActiveLabelLib.server.server import MARKED
from ActiveLabelLib.session.activity import ActiveTime
from ActiveLabelLib.session.case import Case, Scene
from ActiveLabelLib.session.link import Link
from ActiveLabelLib.session.opening import Opened

DRAFT_SECONDS = 30.0
HEARTBEAT_SECONDS = 15.0


class Workplace:
    """A scene with at most one case in it.

    Attributes:
        scene: what shows the case.
        link: the server.
        case: the open case.
    """

    def __init__(self, scene: Scene, link: Link, clock: Callable[[], float]) -> None:
        self.scene = scene
        self.link = link
        self.case: Case | None = None
        self._clock = clock
        self._active = ActiveTime()
        self._due = {"draft": 0.0, "heartbeat": 0.0}

    # A case opens and closes

    def begin(self, opening: Callable[[], Opened]) -> None:
        """Close the case before, and open another. What was drawn on it since it was asked for is kept first."""
        self.keep_and_close()
        try:
            opened = self.link.ask(opening)
        except BaseException:
            self.scene.clear()  # an image whose drawing did not come is no case
            raise
        self.case = Case(opened.image, opened.opened_with, opened.query, opened.review, set(opened.done))
        if opened.review is not None and opened.review.readings is not None:
            self.case.reading = "first"
        self.case.opened = self.case.kept = self.stamp()
        self._active.forget()
        now = self._clock()
        self._due = {"draft": now + DRAFT_SECONDS, "heartbeat": now + HEARTBEAT_SECONDS}

    def close_case(self) -> None:
        """Forget the case; the scene shows nothing any more."""
        self.case = None
        self.scene.clear()

    def close_unchanged(self, stamp: Hashable) -> bool:
        """Close the case, unless something was drawn or marked since a stamp; whether it is closed."""

        def close() -> bool:
            if self.stamp() != stamp:
                return False
            self.close_case()
            return True

        return self.scene.at_once(close)

    def keep_and_close(self) -> None:
        """Close the case. What is drawn is kept, also what is drawn while that is sent."""
        while self.case is not None and not self.close_unchanged(self.case.kept):
            self.keep_draft()

    def require_case(self) -> Case:
        """The open case.

        Raises:
            CaseError: none is open.
        """
        if self.case is None:
            raise CaseError("no case is open: press Next case")
        return self.case

    # What is drawn

    def stamp(self) -> Hashable:
        """What changes with every change of the drawing, or of the marks."""
        return self.scene.stamp(), frozenset(self.require_case().done)

    @property
    def is_drawn(self) -> bool:
        """Whether the person has drawn in the open case, or marked slices, and not finished it."""
        return self.case is not None and self.stamp() != self.case.opened

    @property
    def is_unsaved(self) -> bool:
        """Whether the server lacks something that is drawn."""
        if self.case is None:
            return False
        return self.stamp() != self.case.kept or self.link.outbox.of(self.case.image) is not None

    def write(self, case: Case, kind: str, params: Callable[[Sequence[int]], Mapping[str, Any]]) -> Unsent:
        """Keep the drawing on this machine, to be sent with the params for the marked slices; `case.kept` is it."""
        labels, box = self.link.require_project().labels, self.link.outbox

        def written() -> tuple[Hashable, list[int]]:
            self.scene.write_label(box.place(case.image), labels)
            return self.stamp(), sorted(case.done)

        stamp, marked = self.scene.at_once(written)
        names = [{"name": name, "idx": position + 1} for position, name in enumerate(labels)]
        unheard = {"unanswered": True} if kind == DRAFT and stamp == case.unheard else {}
        entry = box.put(case.image, kind, {**params(marked), **unheard, "label_info": names})
        case.kept = stamp
        return entry

    def write_draft(self, case: Case) -> None:
        """Keep the drawing of an annotator as a draft, to be sent.

        It says so if the same was sent as finished and no answer came, so that the server may have it already.
        """
        self.write(case, DRAFT, lambda marked: {MARKED: marked})

    def take_back_finish(self) -> None:
        """Keep as a draft what is still being sent as finished: nothing is finished by itself in the next Slicer."""
        case, box = self.require_case(), self.link.outbox
        kept = box.own(case.image)
        if kept is not None and kept.kind == FINISHED and not kept.refused:
            case.unheard = case.kept
            self.write_draft(case)

    def write_correction(self, case: Case) -> None:
        """Keep the drawing of a reviewer on this machine: it opens when they take the label again."""
        self.write(case, CORRECTION, lambda _: {})

    def keep_draft(self, *, force: bool = False) -> bool:
        """Keep the drawing: here, and at the server if it answers. Unless `force`, only if it has changed since."""
        case = self.case
        if case is None or (self.stamp() == case.kept and not force):
            return False
        if case.review is not None:
            self.write_correction(case)
        else:
            self.write_draft(case)
            self.link.outbox.keep_marks(case.image, sorted(case.done))
        if self.link.connected:
            self.link.send()
        return True

    # What is done by itself

    def note_input(self, activity: Hashable) -> None:
        """Count the person's time, by a stamp of their input."""
        if self.case is not None:
            self._active.look(self._clock(), (activity, self.scene.stamp(), self.scene.view_stamp()))

    def keep_draft_if_due(self) -> None:
        """Keep a drawing that has changed, every 30 s."""
        if self.case is not None and self._is_due("draft", DRAFT_SECONDS):
            self.keep_draft()

    def send_heartbeat_if_due(self) -> None:
        """Say how long the person was active, every 15 s."""
        if self.case is not None and self._is_due("heartbeat", HEARTBEAT_SECONDS):
            self.send_heartbeat()

    def send_heartbeat(self) -> None:
        """Say how long the person was active since the last time."""
        if self.case is None or self.case.query is None or not self.link.connected:
            return
        seconds = self._active.take()
        if seconds < 1.0:
            self._active.give_back(seconds)
            return
        try:
            self.link.require_server().heartbeat(self.case.image, seconds)
        except SilentError as error:
            self._active.give_back(seconds)
            self.link.lost(error)
        except RefusedError as error:  # the query has expired, for example: the drawing counts all the same
            self.link.line = str(error)

    def _is_due(self, what: str, every: float) -> bool:
        now = self._clock()
        if now < self._due[what]:
            return False
        self._due[what] = now + every
        return True
