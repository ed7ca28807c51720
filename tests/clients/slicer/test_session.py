"""The work of one person, with a scene and a server made up by the test: what is sent when, and nothing is lost."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from slicer_desk import SLICES, VOLUME, Desk, Paper

from ActiveLabelLib.errors import CancelledError, CaseError, ClientError, RefusedError, SilentError
from ActiveLabelLib.outbox.outbox import Outbox
from ActiveLabelLib.server.answers import Readings, Review, Saved
from ActiveLabelLib.session.session import Session

PATIENCE_SECONDS = 60.0


class Person:
    """A session with its scene and server, and a clock that the test moves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scene, self.server, self.now = Paper(), Desk(folder / "server"), 0.0
        self.session = self.another()
        self.session.connect("desk", "ann")

    def another(self) -> Session:
        make: Callable[..., Any] = lambda *_: self.server  # noqa: E731
        return Session(self.scene, self.folder / "unsent", self.folder / "work", make, lambda: self.now)

    def pass_by(self, seconds: int, activity: object = None) -> None:
        for _ in range(seconds):
            self.now += 1.0
            self.session.tick(activity)

    def crashed(self) -> Session:
        """Another Slicer, after the one before has crashed: the system takes the locks of a process that dies."""
        self.session._link.end()
        return self.another()

    def box(self) -> Outbox:
        return Outbox(self.folder / "unsent", self.server.address, "ann", self.server.project_id)

    def waiting(self) -> list[tuple[str, str]]:
        return [(entry.kind, entry.file.read_text(encoding="utf-8")) for entry in self.box().all()]


@pytest.fixture
def ann(tmp_path: Path) -> Person:
    return Person(tmp_path)


NAMES = {"label_info": [{"name": "liver", "idx": 1}, {"name": "spleen", "idx": 2}]}


def test_a_changed_drawing_is_kept_every_30_s_and_an_unchanged_one_is_not_sent(ann: Person) -> None:
    ann.session.next_case()
    ann.pass_by(60)
    assert ann.server.drawings() == []
    ann.scene.drawing = "half"
    ann.pass_by(30)
    ann.pass_by(90)
    assert ann.server.drawings() == [("draft", "half")]
    (params,) = [what[3] for what in ann.server.sent if what[0] == "draft"]
    assert params == {"slices_done": [], **NAMES}
    assert not ann.session.is_unsaved
    assert ann.waiting() == []


def test_a_finished_drawing_closes_the_case(ann: Person) -> None:
    ann.session.next_case()
    ann.scene.drawing = "whole"
    ann.session.finish()
    assert ann.server.sent[-1] == ("label", "case7", "whole", {"finished": True, **NAMES})
    assert ann.session.case is None
    assert ann.waiting() == []


def test_what_is_drawn_while_a_drawing_is_sent_is_not_lost(ann: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    ann.session.next_case()
    ann.scene.drawing = "whole"
    save, ask = ann.server.save_label, ann.server.next_sample

    def draws_on(*sent: Any) -> Saved:
        saved = save(*sent)
        ann.scene.drawing = "whole and more"
        return saved

    monkeypatch.setattr(ann.server, "save_label", draws_on)
    ann.session.finish()
    assert ann.server.drawings() == [("label", "whole"), ("label", "whole and more")]
    ann.session.next_case()

    def draws_meanwhile(strategy: str) -> Any:
        ann.scene.drawing = "of the case before"
        ann.server.queries = [replace(VOLUME, image="case8")]
        return ask(strategy)

    monkeypatch.setattr(ann.server, "next_sample", draws_meanwhile)
    ann.session.next_case()
    assert ann.server.drawings()[2:] == [("draft", "of the case before")]
    assert ann.server.sent[-1][1] == "case7"


class Window(Paper):
    """A scene whose person draws `strokes`, one as soon as each step is over in which a drawing was written."""

    def __init__(self, *strokes: str) -> None:
        super().__init__()
        self.strokes, self._written, self._inside = list(strokes), False, False

    def at_once(self, steps: Callable[[], Any]) -> Any:
        inside, self._inside = self._inside, True
        try:
            return steps()
        finally:
            self._inside = inside
            self._draw()

    def write_label(self, file: Path, labels: Any) -> None:
        super().write_label(file, labels)
        self._written = True
        self._draw()

    def _draw(self) -> None:
        if self._written and self.strokes and not self._inside:
            self._written, self.drawing = False, self.strokes.pop(0)


def test_a_stroke_right_after_the_file_was_written_is_in_no_stamp_of_it(ann: Person) -> None:
    ann.scene = Window("whole and more")
    ann.session = ann.another()
    ann.session.connect("desk", "ann")
    ann.session.next_case()
    ann.scene.drawing = "whole"
    ann.session.finish()
    assert ann.server.drawings() == [("label", "whole"), ("label", "whole and more")]
    assert ann.session.case is None


def test_a_stroke_right_after_a_correction_was_written_is_kept(ann: Person) -> None:
    ann.scene = Window("corrected and more")
    ann.session = ann.another()
    ann.session.connect("desk", "ann")
    ann.server.originals = {"final": "of bob"}
    ann.session.reviews.take()
    ann.scene.drawing = "corrected"
    ann.session.reviews.approve()
    assert ann.server.drawings() == [("label", "corrected")]
    assert ann.waiting() == [("correction", "corrected and more")]


@pytest.mark.parametrize("leave", ["next case", "connect", "release", "take"])
def test_whoever_draws_while_a_case_is_left_loses_nothing(
    ann: Person, monkeypatch: pytest.MonkeyPatch, leave: str
) -> None:
    ann.session.next_case()
    ann.scene.drawing = "some"
    ann.server.originals, strokes, save = {"final": "of bob"}, ["more", "most"], ann.server.save_draft

    def draws_on(*sent: Any) -> Saved:
        saved = save(*sent)
        if strokes:
            ann.scene.drawing = strokes.pop(0)
        return saved

    monkeypatch.setattr(ann.server, "save_draft", draws_on)
    ann.server.queries = [replace(VOLUME, image="case8")]
    if leave == "connect":
        ann.server.name = "bob"
        ann.session.connect("desk", "bob")
    else:
        {"next case": ann.session.next_case, "release": ann.session.release, "take": ann.session.reviews.take}[leave]()
    assert [what[1:3] for what in ann.server.sent if what[0] == "draft"] == [
        ("case7", "some"),
        ("case7", "more"),
        ("case7", "most"),
    ]
    assert ann.box().all() == []


def test_a_label_that_the_server_asks_back_stays_open_and_is_confirmed_by_the_same_button(ann: Person) -> None:
    ann.session.next_case()
    ann.scene.drawing = "by the model"
    ann.server.answer = Saved("draft", "it equals what model 3 drew: look it over")
    ann.session.finish()
    assert ann.session.case is not None
    assert ann.session.line == "case7: draft, it equals what model 3 drew: look it over"
    ann.server.answer = Saved("finished")
    ann.session.finish()
    assert ann.session.case is None


def test_the_case_opens_at_the_first_asked_slice_and_keys_go_through_the_others(ann: Person) -> None:
    ann.server.queries = [SLICES]
    ann.session.next_case()
    assert ann.scene.shown == [("axial", 6.0)]
    assert [ann.session.next_asked_slice() for _ in range(3)] == [9, 10, 3]
    assert ann.session.next_asked_slice(-1) == 10
    assert ann.scene.shown[-1] == ("axial", 20.0)


def test_marked_slices_are_those_that_the_label_covers(ann: Person) -> None:
    ann.server.queries = [SLICES]
    ann.session.next_case()
    assert ann.session.mark_slice() == 3
    assert ann.scene.shown[-1] == ("axial", 18.0), "the next one is shown"
    assert ann.session.mark_slice() == 9
    ann.scene.show_slice("axial", 24.0)  # one beside those that are asked for
    ann.session.mark_slice()
    ann.scene.show_slice("axial", 18.0)
    assert ann.session.mark_slice() == 9, "the mark is taken back"
    ann.scene.drawing = "some"
    ann.pass_by(30)
    assert next(what for what in ann.server.sent if what[0] == "draft")[3]["slices_done"] == [3, 12]
    ann.session.finish()
    assert ann.server.sent[-1][3]["annotated_slices"] == [3, 12]


def test_a_slice_that_is_marked_while_the_label_is_sent_counts(ann: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    ann.server.queries = [SLICES]
    ann.session.next_case()
    ann.session.mark_slice()
    save, marked = ann.server.save_label, []

    def marks(*sent: Any) -> Saved:
        if not marked:
            marked.append(ann.session.mark_slice())
        return save(*sent)

    monkeypatch.setattr(ann.server, "save_label", marks)
    ann.session.finish()
    assert [what[3]["annotated_slices"] for what in ann.server.sent if what[0] == "label"] == [[3], [3, 9]]


def test_a_case_that_does_not_open_leaves_nothing_on_the_screen(ann: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    ann.server.queries = [replace(VOLUME, has_draft=True)]

    def silent(image: str) -> Any:
        raise SilentError("desk does not answer (made up)")

    with monkeypatch.context() as patch:
        patch.setattr(ann.server, "marked_slices", silent)
        with pytest.raises(SilentError):
            ann.session.next_case()
    assert ann.scene.opened == [], "what may fail is asked for first"

    def half(file: Path, values: Any) -> None:
        ann.scene.drawing = "half"
        raise ClientError("value 7 is no structure of this project")

    monkeypatch.setattr(ann.scene, "open_label", half)
    with pytest.raises(ClientError, match="value 7"):
        ann.session.next_case()
    assert ann.session.case is None
    assert ann.scene.drawing == ""


def test_marks_that_the_server_has_forgotten_are_those_of_this_machine(ann: Person) -> None:
    ann.server.queries = [SLICES]
    ann.session.next_case()
    ann.session.mark_slice()
    ann.session.mark_slice()
    ann.session.close()
    ann.server.queries, ann.server.marks = [replace(SLICES, has_draft=True)], None
    later = ann.another()
    later.connect("desk", "ann")
    later.next_case()
    assert later.case is not None
    assert later.case.done == {3, 9}
    later.finish()
    assert later.case is None
    assert ann.box().marks_of("case7") == ()


def test_without_marks_the_label_covers_what_was_asked_for(ann: Person) -> None:
    ann.server.queries = [SLICES]
    ann.session.next_case()
    ann.session.finish()
    assert "annotated_slices" not in ann.server.sent[-1][3]


@pytest.mark.parametrize(
    ("has_draft", "originals", "has_model", "opened", "drawing"),
    [
        (True, {"original": "of another"}, True, "draft", "drawn before"),
        (False, {"original": "returned"}, True, "label", "returned"),
        (False, {}, True, "model", "by the model"),
        (False, {}, False, "nothing", ""),
    ],
)
def test_a_case_opens_with_the_nearest_drawing(
    ann: Person, has_draft: bool, originals: dict[str, str], has_model: bool, opened: str, drawing: str
) -> None:
    ann.server.queries = [replace(VOLUME, has_draft=has_draft)]
    ann.server.originals, ann.server.has_model = originals, has_model
    ann.session.next_case()
    assert ann.session.case is not None
    assert (ann.session.case.opened_with, ann.scene.drawing) == (opened, drawing)
    assert ann.session.case.done == ({3} if has_draft else set())
    assert not ann.session.is_unsaved
    assert not ann.session.is_drawn


def test_next_case_again_keeps_the_case_that_is_open_with_its_drawing(ann: Person) -> None:
    ann.session.next_case()
    ann.scene.drawing = "half"
    ann.session.next_case()
    assert ann.scene.drawing == "half"
    assert ann.server.drawings() == [("draft", "half")]


# The server is silent


def test_what_is_drawn_while_the_server_is_silent_waits_here_and_goes_there_when_it_is_back(ann: Person) -> None:
    ann.session.next_case()
    ann.server.silent = True
    ann.scene.drawing = "half"
    ann.pass_by(30)
    assert not ann.session.connected
    assert ann.waiting() == [("draft", "half")]
    ann.scene.drawing = "more"
    with pytest.raises(SilentError, match="finish it then"):
        ann.session.finish()
    assert ann.waiting() == [("draft", "more")]
    assert "unanswered" not in ann.box().all()[0].params, "it was not sent as finished"
    assert ann.session.is_unsaved
    ann.server.silent = False
    ann.pass_by(10)
    assert ann.session.connected
    assert ann.server.drawings() == [("draft", "more")]
    assert ann.waiting() == []
    ann.session.finish()
    assert ann.server.drawings()[-1] == ("label", "more")


def test_each_change_is_kept_here_while_the_server_stays_silent(ann: Person) -> None:
    ann.session.next_case()
    ann.server.silent = True
    for drawing in ("a quarter", "half", "more"):
        ann.scene.drawing = drawing
        ann.pass_by(30)
        assert ann.waiting() == [("draft", drawing)]


def test_a_button_sends_what_waits_before_it_asks_for_anything(ann: Person) -> None:
    """Else the server would answer with an older draft."""
    ann.session.next_case()
    ann.server.silent = True
    ann.scene.drawing = "half"
    ann.pass_by(31)
    ann.server.silent = False
    ann.server.sent.clear()
    ann.session.next_case()
    assert [what[0] for what in ann.server.sent] == ["answers", "draft", "next"]


def test_a_finished_drawing_is_sent_once_though_the_server_was_silent_before(ann: Person) -> None:
    ann.session.next_case()
    ann.server.silent = True
    ann.scene.drawing = "half"
    ann.pass_by(31)
    ann.server.silent = False
    ann.scene.drawing = "whole"
    ann.session.finish()
    assert ann.server.drawings() == [("draft", "half"), ("label", "whole")]
    assert ann.session.case is None


def test_a_finished_drawing_is_sent_once_though_the_server_comes_back_amid_the_finish(
    ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann.session.next_case()
    ann.server.silent = True
    ann.scene.drawing = "half"
    ann.pass_by(31)
    ann.scene.drawing = "whole"
    answers, asked = ann.server.require_answer, []

    def answers_the_second_time() -> None:
        asked.append("answers")
        ann.server.silent = len(asked) < 2
        answers()

    monkeypatch.setattr(ann.server, "require_answer", answers_the_second_time)
    ann.session.finish()
    assert ann.server.drawings() == [("draft", "half"), ("label", "whole")]
    assert ann.session.case is None
    assert ann.waiting() == []


def test_another_slicer_after_a_crash_sends_what_waits(ann: Person) -> None:
    ann.session.next_case()
    ann.server.silent = True
    ann.scene.drawing = "half"
    ann.pass_by(30)
    ann.server.silent = False
    ann.crashed().connect("desk", "ann")
    assert ann.server.drawings() == [("draft", "half")]
    assert ann.waiting() == []


def test_two_slicers_of_a_person_at_one_case_lose_neither_drawing(ann: Person) -> None:
    ann.session.next_case()
    other = ann.another()
    other.connect("desk", "ann")
    ann.server.silent = True
    ann.scene.drawing = "of the first Slicer"
    ann.pass_by(30)
    ann.scene.drawing = ""
    ann.server.silent = False
    other.next_case()
    assert ann.scene.drawing == "of the first Slicer", "the newest there is, though it is not sent yet"
    ann.scene.drawing = "of the second Slicer"
    ann.server.silent = True
    other.keep_draft()
    assert sorted(ann.waiting()) == [("draft", "of the first Slicer"), ("draft", "of the second Slicer")]
    ann.server.silent = False
    ann.now += 10
    other.tick()
    assert ann.server.drawings() == [("draft", "of the second Slicer")], "the first one runs, and sends its own"
    ann.pass_by(10)
    assert ann.server.drawings() == [("draft", "of the second Slicer"), ("draft", "of the first Slicer")]
    assert ann.waiting() == []


def test_a_damaged_drawing_is_said_and_the_others_are_sent(ann: Person) -> None:
    ann.session.next_case()
    ann.server.silent = True
    ann.scene.drawing = "half"
    ann.pass_by(30)
    (entry,) = ann.box().all()
    damaged = entry.file.with_name("0" * 24 + "-123.json")
    damaged.write_text("{", encoding="utf-8")
    os.utime(damaged, (1, 1))
    ann.server.silent = False
    ann.pass_by(10)
    assert ann.server.drawings() == [("draft", "half")]
    assert "is damaged" in ann.session.line
    assert str(damaged) + ".damaged" in ann.session.line


def test_a_refused_drawing_stays_here_and_opens_again(ann: Person) -> None:
    ann.session.next_case()
    ann.scene.drawing = "wrong"
    ann.server.refuses = "label: two segments are called 'liver'"
    with pytest.raises(RefusedError, match="two segments"):
        ann.session.finish()
    ann.session.close()
    assert ann.waiting() == [("finished", "wrong")]
    ann.server.refuses = ""
    later = ann.crashed()
    later.connect("desk", "ann")
    assert ann.server.drawings() == [], "it would be refused again"
    later.next_case()
    assert ann.scene.drawing == "wrong"
    assert ann.scene.opened[-1][1] == {"liver": 1, "spleen": 2}, "values of this module, not of the project"


@pytest.mark.parametrize("status", [401, 412, 429, 500, 503, 507])
def test_a_drawing_that_the_server_cannot_take_at_the_moment_is_sent_again_by_itself(ann: Person, status: int) -> None:
    ann.session.next_case()
    ann.scene.drawing = "half"
    ann.server.refuses, ann.server.refuses_with = "the disk is full", status
    ann.pass_by(30)
    assert ann.session.line == "the disk is full; what you draw is kept here until the server takes it"
    assert ann.session.is_unsaved
    ann.server.refuses = ""
    ann.pass_by(10)
    assert ann.server.drawings() == [("draft", "half")]
    assert not ann.session.is_unsaved


def test_a_drawing_at_which_the_server_always_fails_holds_up_none_of_the_others_and_counts_as_refused(
    ann: Person,
) -> None:
    ann.session.next_case()
    ann.scene.drawing = "half"
    ann.server.refuses, ann.server.refuses_with, ann.server.refuses_only = "something broke", 500, "case7"
    box = ann.session._link.outbox
    for image in ("case5", "case9"):
        box.place(image).write_text(image, encoding="utf-8")
        box.put(image, "draft", {})
    ann.pass_by(30)
    assert ann.server.drawings() == [("draft", "case5"), ("draft", "case9")]
    assert ann.session.connected
    assert ann.session.worklist().counts["finished"] == 1, "what else is asked is answered"
    ann.pass_by(120)
    assert ann.server.times_refused == 5
    assert ann.waiting() == [("draft", "half")]
    (entry,) = box.all()
    assert entry.refused == "something broke"
    assert ann.session.line == f"case7: something broke; your drawing is kept in {entry.file}"
    ann.scene.drawing = "more"
    ann.server.refuses = ""
    ann.pass_by(30)
    assert ann.server.drawings()[2:] == [("draft", "more")], "another drawing is tried anew"


@pytest.mark.parametrize("status", [500, 503])
def test_a_drawing_that_could_not_be_finished_at_the_moment_is_a_draft_until_the_button_is_pressed_again(
    ann: Person, status: int
) -> None:
    ann.session.next_case()
    ann.scene.drawing = "whole"
    ann.server.refuses, ann.server.refuses_with = "the ledger does not answer", status
    with pytest.raises(RefusedError, match="the ledger does not answer"):
        ann.session.finish()
    ann.server.refuses = ""
    ann.pass_by(10)
    assert ann.server.drawings() == [("draft", "whole")]
    assert ann.session.case is not None
    ann.session.finish()
    assert ann.server.drawings()[1:] == [("label", "whole")]


@pytest.mark.parametrize("draws_on", [False, True])
def test_a_label_that_had_come_though_its_answer_was_lost_leaves_no_draft_beside_it(
    ann: Person, draws_on: bool
) -> None:
    ann.session.next_case()
    ann.scene.drawing = "whole"
    ann.server.deaf_to = "label"
    with pytest.raises(SilentError, match="unless it has come"):
        ann.session.finish()
    if draws_on:
        ann.scene.drawing = "more"
    ann.pass_by(10)
    assert ann.server.drawings() == [("label", "whole")]
    assert ann.waiting() == []
    assert (ann.session.case is not None) == draws_on
    assert draws_on or ann.session.line == "case7: finished, as the server had it already"
    ann.pass_by(60)
    assert ann.server.drawings()[1:] == ([("draft", "more")] if draws_on else [])
    assert (ann.session.case is not None) == draws_on


def test_a_draft_of_what_was_sent_as_finished_says_so_however_often_it_is_kept(ann: Person) -> None:
    ann.session.next_case()
    ann.scene.drawing = "whole"
    ann.server.deaf_to = "label"
    with pytest.raises(SilentError):
        ann.session.finish()
    ann.session.keep_draft(force=True)
    assert [entry.params.get("unanswered") for entry in ann.box().all()] == [True]
    ann.server.silent = True
    with pytest.raises(SilentError):
        ann.session.finish()
    assert [entry.params.get("unanswered") for entry in ann.box().all()] == [True], "it still may have come before"
    ann.scene.drawing = "more"
    ann.session.keep_draft()
    assert [entry.params.get("unanswered") for entry in ann.box().all()] == [None], "this drawing was never sent"


def test_a_button_says_why_a_server_that_answers_again_takes_nothing(ann: Person) -> None:
    ann.session.next_case()
    ann.server.silent = True
    ann.scene.drawing = "half"
    ann.pass_by(30)
    ann.server.silent, ann.server.project_id = False, "p2"
    for act in (ann.session.finish, ann.session.next_case):
        with pytest.raises(RefusedError, match="another project than yours"):
            act()
    ann.server.project_id = "p1"
    assert ann.waiting() == [("draft", "half")]


def test_a_finish_that_is_broken_off_says_so_and_is_a_draft(ann: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    ann.session.next_case()
    ann.scene.drawing = "whole"

    def cancelled(*_: Any) -> Any:
        raise CancelledError("cancelled")

    monkeypatch.setattr(ann.server, "save_label", cancelled)
    with pytest.raises(CancelledError, match=r"^cancelled: the drawing is kept here"):
        ann.session.finish()
    assert [(entry.kind, entry.params["unanswered"]) for entry in ann.box().all()] == [("draft", True)]
    monkeypatch.setattr(ann.server, "require_answer", cancelled)
    with pytest.raises(CancelledError, match=r"^cancelled$"):
        ann.session.worklist()


def test_a_drawing_that_waits_does_not_bring_a_skipped_case_back(ann: Person) -> None:
    ann.session.next_case()
    ann.scene.drawing = "half"
    ann.server.refuses, ann.server.refuses_with = "something broke", 500
    ann.session.skip("not now", "blurred")
    ann.server.refuses = ""
    ann.pass_by(60)
    assert ann.server.drawings() == []
    assert ann.waiting() == [("draft", "half")]
    ann.session.next_case()
    assert ann.scene.drawing == "half", "it opens with its case"


def test_another_person_at_the_same_slicer_does_not_get_the_drawing_of_the_one_before(ann: Person) -> None:
    ann.session.next_case()
    ann.scene.drawing = "by ann"
    ann.server.name = "bob"
    ann.session.connect("desk", "bob")
    assert ann.server.drawings() == [("draft", "by ann")]
    assert ann.session.case is None
    ann.scene.drawing = "by bob"
    ann.pass_by(60)
    assert ann.server.drawings() == [("draft", "by ann")]


def test_the_same_person_who_connects_again_goes_on_with_their_case(ann: Person) -> None:
    ann.session.next_case()
    ann.scene.drawing = "half"
    ann.session.connect("desk", "ann")
    assert ann.session.case is not None
    assert ann.scene.drawing == "half"


def test_what_waits_is_not_sent_to_another_project_at_the_same_address(ann: Person) -> None:
    ann.session.next_case()
    ann.server.silent = True
    ann.scene.drawing = "half"
    ann.pass_by(30)
    ann.server.silent, ann.server.project_id = False, "p2"
    ann.pass_by(30)
    assert not ann.session.connected
    assert ann.session.line == "another project than yours is served at this address now"
    ann.session.connect("desk", "ann")
    assert (ann.session.case, ann.server.drawings()) == (None, [])
    ann.server.project_id = "p1"
    ann.session.connect("desk", "ann")
    assert ann.server.drawings() == [("draft", "half")]


def test_closing_keeps_what_is_unsaved(ann: Person) -> None:
    ann.session.next_case()
    ann.scene.drawing = "half"
    ann.session.close()
    assert ann.server.drawings() == [("draft", "half")]


def test_a_finish_that_hangs_at_the_end_is_a_draft_in_the_next_slicer(
    ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann.session.next_case()
    ann.scene.drawing = "whole"
    is_sent, end = threading.Event(), threading.Event()

    def hangs(*_: Any) -> Any:
        is_sent.set()
        end.wait(PATIENCE_SECONDS)
        raise SilentError("no answer")

    monkeypatch.setattr(ann.server, "save_label", hangs)
    with ThreadPoolExecutor(1) as beside:
        finish = beside.submit(ann.session.finish)
        try:
            assert is_sent.wait(PATIENCE_SECONDS)
            ann.session.end()
            assert [entry.params.get("unanswered") for entry in ann.box().all()] == [True], "it may have come"
            ann.another().connect("desk", "ann")
            assert ann.server.drawings() == [("draft", "whole")]
        finally:
            end.set()
        with pytest.raises(SilentError):
            finish.result(PATIENCE_SECONDS)


def test_a_silent_server_is_asked_every_10_s(ann: Person) -> None:
    ann.session.next_case()
    ann.server.silent = True
    with pytest.raises(SilentError):
        ann.session.release()
    ann.pass_by(9)
    ann.server.silent = False
    assert not ann.session.connected
    ann.pass_by(1)
    assert ann.session.connected


# Active seconds


def test_active_seconds_are_sent_every_15_s_and_none_without_input(ann: Person) -> None:
    ann.session.next_case()
    for second in range(31):
        ann.pass_by(1, activity=second)
    ann.pass_by(60, activity=30)
    beats = [what for what in ann.server.sent if what[0] == "heartbeat"]
    assert [beat[1] for beat in beats] == ["case7"] * len(beats)
    assert sum(beat[2] for beat in beats) == 30.0


# Other ends of a case


@pytest.mark.parametrize(
    ("leave", "heard"),
    [
        (lambda session: session.skip("not now", "blurred"), ("skip", "case7", "not now", "blurred")),
        (lambda session: session.release(), ("release",)),
    ],
)
def test_a_case_that_is_left_keeps_its_drawing_as_a_draft(
    ann: Person, leave: Callable[[Session], None], heard: tuple[str, ...]
) -> None:
    ann.session.next_case()
    ann.scene.drawing = "half"
    leave(ann.session)
    assert ann.server.drawings() == [("draft", "half")]
    assert ann.server.sent[-1] == heard
    assert ann.session.case is None


def test_a_case_that_was_set_aside_is_brought_back(ann: Person) -> None:
    ann.session.bring_back("case9")
    assert (ann.server.sent[-1], ann.session.line) == (("bring back", "case9"), "case9 is brought back")


def test_nothing_left_is_said(ann: Person) -> None:
    ann.server.queries = []
    assert not ann.session.next_case()
    assert ann.session.line == "nothing is left to annotate"


@pytest.mark.parametrize(
    "act", [Session.finish, Session.mark_slice, lambda session: session.reviews.approve()], ids=["finish", "mark", "ok"]
)
def test_without_a_case_buttons_say_so(ann: Person, act: Callable[[Session], object]) -> None:
    with pytest.raises(CaseError, match="no case is open"):
        act(ann.session)


def test_without_a_connection_buttons_say_so(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="not connected"):
        Session(Paper(), tmp_path, tmp_path).next_case()


# Review


def test_a_label_is_approved_as_it_is_with_the_version_that_was_seen(ann: Person) -> None:
    ann.server.originals = {"final": "of bob"}
    assert ann.session.reviews.take()
    assert ann.scene.drawing == "of bob"
    ann.session.reviews.approve("fine")
    assert ann.server.sent[-1] == ("approve", "case7", "fine", 2)
    assert ann.server.drawings() == []


def test_a_corrected_label_is_sent_before_it_is_approved_and_covers_the_same_slices(ann: Person) -> None:
    ann.server.originals = {"final": "of bob"}
    ann.server.reviews = [Review("case7", 2, "bob", (4, 5))]
    ann.session.reviews.take()
    ann.scene.drawing = "corrected"
    ann.pass_by(60)
    assert ann.server.drawings() == [], "a correction is no draft"
    assert ann.waiting() == [("correction", "corrected")]
    ann.session.reviews.approve()
    sent = {"finished": True, "confirmed": True, "annotated_slices": [4, 5], **NAMES}
    heard = [("label", "case7", "corrected", sent), ("review", "case7"), ("approve", "case7", "", 3)]
    assert ann.server.sent[-3:] == heard
    assert ann.waiting() == []


def test_a_correction_that_was_begun_opens_again(ann: Person) -> None:
    ann.server.originals = {"final": "of bob"}
    ann.session.reviews.take()
    ann.scene.drawing = "corrected"
    ann.session.end()
    later = ann.another()
    later.connect("desk", "ann")
    later.reviews.take()
    assert ann.scene.drawing == "corrected"
    later.reviews.send_back("the tip is missing")
    assert ann.server.sent[-1] == ("return", "case7", "the tip is missing", 2)
    assert ann.waiting() == []


def test_a_label_is_returned_only_with_a_note(ann: Person) -> None:
    ann.server.originals = {"final": "of bob"}
    ann.session.reviews.take()
    with pytest.raises(CaseError, match="what the annotator should correct"):
        ann.session.reviews.send_back("  ")
    with pytest.raises(CaseError, match="approve it, or return it"):
        ann.session.finish()


def draw_meanwhile(ann: Person, monkeypatch: pytest.MonkeyPatch, request: str) -> None:
    """Draw while the server is asked for something."""
    ask = getattr(ann.server, request)

    def draws(*sent: Any) -> Any:
        ann.scene.drawing = "drawn meanwhile"
        return ask(*sent)

    monkeypatch.setattr(ann.server, request, draws)


@pytest.mark.parametrize("decision", ["approve", "return_label", "adjudicate"])
def test_what_is_drawn_while_a_decision_is_sent_is_kept(
    ann: Person, monkeypatch: pytest.MonkeyPatch, decision: str
) -> None:
    ann.server.originals = {"final": "of bob"}
    if decision == "adjudicate":
        ann.server.reviews = [DIFFER]
    ann.session.reviews.take()
    draw_meanwhile(ann, monkeypatch, decision)
    if decision == "return_label":
        ann.session.reviews.send_back("the tip is missing")
    else:
        ann.session.reviews.approve()
    assert ann.waiting() == [("correction", "drawn meanwhile")]
    assert ann.session.case is None
    assert ann.session.line.endswith("is kept here, and opens when you take the label again")


# Two readings that differ

DIFFER = Review("case7", 2, "bob", None, Readings("bob", "cid", "liver Dice 0.61"))


@pytest.fixture
def rev(ann: Person) -> Person:
    ann.server.reviews, ann.server.originals = [DIFFER], {"final": "of bob", "reading_2": "of cid"}
    ann.session.reviews.take()
    return ann


def test_the_reading_on_the_screen_is_the_one_that_is_approved(rev: Person) -> None:
    assert rev.scene.drawing == "of bob"
    rev.session.reviews.show_reading("second")
    assert rev.scene.drawing == "of cid"
    rev.pass_by(60)
    assert rev.waiting() == [], "another reading is no correction"
    rev.session.reviews.approve("closer to the border")
    assert rev.server.sent[-1] == ("adjudicate", "case7", "second", "closer to the border")
    assert rev.server.drawings() == []
    assert rev.session.case is None
    assert rev.session.line == "case7: the second reading is approved"


def test_the_first_reading_is_taken_and_both_are_merged(rev: Person) -> None:
    rev.session.reviews.show_reading("second")
    rev.session.reviews.show_reading("first")
    assert rev.scene.drawing == "of bob"
    rev.session.reviews.approve()
    assert rev.server.sent[-1] == ("adjudicate", "case7", "first", "")
    rev.session.reviews.take()
    rev.session.reviews.adjudicate("staple", "both are right")
    assert rev.server.sent[-1] == ("adjudicate", "case7", "staple", "both are right")


def test_a_corrected_reading_is_the_reviewers_own_label(rev: Person) -> None:
    rev.session.reviews.show_reading("second")
    rev.scene.drawing = "corrected"
    assert rev.session.reviews.is_corrected
    rev.session.reviews.approve()
    assert [what[0] for what in rev.server.sent[-3:]] == ["label", "review", "approve"]
    assert rev.server.drawings() == [("label", "corrected")]


def test_another_reading_does_not_take_the_place_of_what_is_drawn_while_it_is_fetched(
    rev: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_meanwhile(rev, monkeypatch, "label_file")
    with pytest.raises(CaseError, match="you have drawn on meanwhile"):
        rev.session.reviews.show_reading("second")
    assert rev.scene.drawing == "drawn meanwhile"
    assert rev.session.case is not None
    assert rev.session.case.reading == "first"


def test_a_correction_that_is_given_up_for_a_reading_does_not_open_again(rev: Person) -> None:
    rev.scene.drawing = "corrected"
    rev.pass_by(30)
    assert rev.waiting() == [("correction", "corrected")]
    rev.session.reviews.show_reading("second")
    assert rev.waiting() == []
    assert not rev.session.reviews.is_corrected


def test_an_approval_that_the_server_did_not_hear_is_asked_again_and_takes_no_reading(rev: Person) -> None:
    rev.scene.drawing = "corrected"
    rev.server.deaf_to = "approve"
    with pytest.raises(SilentError):
        rev.session.reviews.approve()
    rev.server.deaf_to = ""
    rev.session.reviews.approve()
    assert rev.server.sent[-1] == ("approve", "case7", "", 3)
    assert rev.server.drawings() == [("label", "corrected")], "sent once"


def test_without_two_readings_there_is_nothing_to_decide_between(ann: Person) -> None:
    ann.server.originals = {"final": "of bob"}
    ann.session.reviews.take()
    for decide in (ann.session.reviews.show_reading, ann.session.reviews.adjudicate):
        with pytest.raises(CaseError, match="no two readings"):
            decide("second")


# Uncertainty


def test_the_map_is_fetched_once_and_only_when_it_is_wanted(ann: Person) -> None:
    ann.session.next_case()
    ann.session.show_uncertainty(0.0)
    assert ann.scene.overlay == []
    ann.session.show_uncertainty(0.4, ann.session.fetch_uncertainty())
    ann.session.show_uncertainty(0.0)
    assert ann.scene.overlay == ["map", 0.4, 0.0]
    assert ann.session.fetch_uncertainty() is None
