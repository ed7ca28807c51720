"""The panel's own widgets, drawn off screen: which buttons can be pressed, what is asked, what is said."""

import ast
import re
import socket
import threading
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import slicer
from PySide6 import QtWidgets
from PySide6.QtCore import Qt
from slicer_desk import SLICES, VOLUME, Desk
from slicer_panel import PATIENCE_SECONDS, PanelOnScreen, QtAsInSlicer
from small_studies import AFFINE_RAS, SHAPE, boxes, write_image, write_nifti

from activelabel.store.case_states import CaseState
from ActiveLabelLib.errors import RefusedError
from ActiveLabelLib.outbox.outbox import Outbox
from ActiveLabelLib.panel import doing
from ActiveLabelLib.panel.panel import DONE_KEY, NEXT_KEY, PREVIOUS_KEY
from ActiveLabelLib.panel.panel_tabs import STATES
from ActiveLabelLib.server.answers import Progress, Readings, Review, Row, Saved, Worklist
from ActiveLabelLib.server.breaking import breaker_here
from ActiveLabelLib.server.connection import Connection
from ActiveLabelLib.server.server import connect

STUBS = Path(__file__).parents[3] / "clients" / "slicer" / "stubs"


class DeskWithImages(Desk):
    """The made-up server, with an image that Slicer can read."""

    def image_file(self, image: str, path: str, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        return write_image(folder / f"{image}.nii.gz")

    def label_file(self, image: str, tag: str, folder: Path) -> Path | None:
        return write_nifti(self.folder / "label.nii.gz", boxes(1)) if tag in self.originals else None

    def uncertainty_file(self, image: str, folder: Path) -> Path:
        return write_nifti(folder / "map.nii.gz", np.linspace(0, 1, 960, dtype=np.float32).reshape(SHAPE))

    def save_draft(self, image: str, file: Path, params: Any) -> Any:
        self._hear("draft", image, file.name, dict(params))
        return Saved("draft")

    def save_label(self, image: str, file: Path, params: Any) -> Any:
        self._hear("label", image, file.name, dict(params))
        return self.answer


@pytest.fixture
def desk(tmp_path: Path) -> DeskWithImages:
    (tmp_path / "server").mkdir()
    return DeskWithImages(tmp_path / "server")


@pytest.fixture
def ann(tmp_path: Path, desk: DeskWithImages) -> PanelOnScreen:
    return PanelOnScreen(tmp_path, lambda *_: desk, address="desk:8000", name="ann")


def until_it_is_broken_off(*_: Any) -> Any:
    """What the server does not answer, as a request waits for it."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        breaker_here().check()
        time.sleep(0.01)
    pytest.fail("nobody has broken it off")


OF_A_CASE = ("Finish", "Finish and next", "Keep draft", "Not now", "Cannot be annotated", "Slice done", "Release")


def test_buttons_are_grey_until_they_can_do_something(ann: PanelOnScreen, desk: DeskWithImages) -> None:
    assert not any(ann.is_enabled(name) for name in ("Next case", "Take the next label", "Approve", *OF_A_CASE))
    ann.click("Connect")
    assert ann.remembered == {"address": "desk:8000", "name": "ann", "certificate": ""}
    assert ann.is_enabled("Next case")
    assert ann.is_enabled("Take the next label")
    assert not any(ann.is_enabled(name) for name in OF_A_CASE)
    ann.click("Next case")
    assert all(ann.is_enabled(name) for name in OF_A_CASE)
    assert not ann.is_enabled("Next slice"), "no slice is asked for"
    assert ann.case_line == "case7 (training): chosen at random. Nothing is drawn yet."


def test_the_next_person_at_the_workstation_finds_no_password(ann: PanelOnScreen, desk: DeskWithImages) -> None:
    hint = "password, if the server wants one"
    ann.write(hint, "secret")
    desk.silent = True
    ann.click("Connect")
    assert ann.written(hint) == "secret", "it is not to be typed again for a server that did not answer"
    desk.silent = False
    ann.click("Connect")
    assert ann.written(hint) == ""


def test_keys_go_through_the_asked_slices_and_mark_them(ann: PanelOnScreen, desk: DeskWithImages) -> None:
    desk.queries = [SLICES]
    ann.click("Connect")
    ann.click("Next case")
    at = [ann.scene.slice_position("axial")]
    for key in ("Shift+F", "Shift+F", "Shift+B", "Shift+D"):
        ann.press(key)
        at.append(ann.scene.slice_position("axial"))
    assert at == pytest.approx([6.0, 18.0, 20.0, 18.0, 20.0])
    assert ann.panel._slices_text.text() == "Asked: axial 4, 10-11 of 20, counted from 1. Done: 10."


def test_no_key_of_the_panel_is_one_of_the_segment_editor() -> None:
    """Its keys, by Slicer's source; of two shortcuts with one key Qt follows neither."""
    digits = [f"{shift}{digit}" for shift in ("", "Shift+") for digit in range(10)]
    editor = {*digits, "Esc", "Space", "Z", "Ctrl+Z", "Y", "Ctrl+Y", "Ctrl+Shift+Z", *"QW/*,.<>I"}
    assert editor.isdisjoint((PREVIOUS_KEY, NEXT_KEY, DONE_KEY))


def test_a_scene_that_closes_takes_no_drawing_along(ann: PanelOnScreen, desk: DeskWithImages) -> None:
    ann.click("Connect")
    ann.click("Next case")
    ann.paint("liver", boxes(1) == 1, AFFINE_RAS)
    desk.silent = True
    ann.panel.leave()
    assert ann.session.case is None
    box = Outbox(ann.folder / "unsent", desk.address, "ann", desk.project_id)
    assert [entry.kind for entry in box.all()] == ["draft"]


def test_the_window_answers_while_the_server_does_not_and_what_is_asked_can_be_broken_off(
    ann: PanelOnScreen, desk: DeskWithImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann.click("Connect")
    ann.click("Next case")
    ann.paint("liver", boxes(1) == 1, AFFINE_RAS)
    monkeypatch.setattr(desk, "save_label", until_it_is_broken_off)
    assert ann.panel._doing.cancel.isHidden()
    ann.begin("Finish")
    ann.panel._doing.poll()
    assert not ann.panel._doing.cancel.isHidden()
    assert not any(ann.is_enabled(name) for name in ("Finish", "Next case", "Not now", "Take the next label"))
    assert ann.is_enabled("Cancel")
    ann.panel.tick()  # what is due comes after that
    ann.click("Cancel")
    assert ann.line.startswith("cancelled: ")
    assert "unless it has come" in ann.line
    assert ann.is_enabled("Finish")
    assert ann.panel._doing.cancel.isHidden()
    assert Outbox(ann.folder / "unsent", desk.address, "ann", desk.project_id).of("case7") is not None


def test_a_server_that_answers_too_late_is_said_to_be_silent_and_nothing_is_lost(
    ann: PanelOnScreen, desk: DeskWithImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the request and is busy for longer than the panel waits, which is shortened here."""
    ann.click("Connect")
    ann.click("Next case")
    ann.paint("liver", boxes(1) == 1, AFFINE_RAS)
    with monkeypatch.context() as while_busy, socket.create_server(("127.0.0.1", 0)) as listening:
        while_busy.setattr(Connection.post, "__defaults__", (0.2,))
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        while_busy.setattr(desk, "skip", connect(address, "ann").skip)
        ann.click("Not now")
    assert ann.line == f"{address} does not answer (timed out)"
    assert not ann.session.connected
    assert ann.session.case is not None
    assert [what[:2] for what in desk.sent if what[0] in ("draft", "label")] == [("draft", "case7")]
    ann.paint("spleen", boxes(2) == 2, AFFINE_RAS)
    ann.click("Not now")
    assert ann.session.connected
    assert ann.session.case is None
    assert [what[:2] for what in desk.sent[-2:]] == [("draft", "case7"), ("skip", "case7")]


def test_a_map_that_takes_long_holds_up_nothing_and_is_not_shown_over_another_case(
    ann: PanelOnScreen, desk: DeskWithImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.has_model, desk.originals = True, {"original": ""}
    ann.click("Connect")
    ann.click("Next case")
    ready, fetch = threading.Event(), desk.uncertainty_file

    def slowly(image: str, folder: Path) -> Path:
        assert ready.wait(PATIENCE_SECONDS)
        return fetch(image, folder)

    monkeypatch.setattr(desk, "uncertainty_file", slowly)
    ann.begin_to_slide(40)
    desk.queries = [replace(VOLUME, image="case8")]
    ann.begin("Finish and next")
    ann.wait_until(lambda: not ann.panel._doing.asked)
    assert ann.session.case is not None
    assert ann.session.case.image == "case8"
    ready.set()
    ann.let_end()
    assert not ann.session.case.overlay


def test_the_map_of_another_case_is_fetched_in_the_stead_of_one_under_way(
    ann: PanelOnScreen, desk: DeskWithImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.has_model, desk.originals = True, {"original": ""}
    ann.click("Connect")
    ann.click("Next case")
    fetch = desk.uncertainty_file
    monkeypatch.setattr(
        desk,
        "uncertainty_file",
        lambda image, folder: (until_it_is_broken_off if image == "case7" else fetch)(image, folder),
    )
    ann.begin_to_slide(40)
    desk.queries = [replace(VOLUME, image="case8")]
    ann.begin("Finish and next")
    ann.wait_until(lambda: not ann.panel._doing.asked)
    ann.slide(30)
    assert ann.session.case is not None
    assert (ann.session.case.image, ann.session.case.overlay) == ("case8", True)
    assert "cancelled" not in ann.line


def test_a_map_that_is_broken_off_breaks_off_no_draft(
    ann: PanelOnScreen, desk: DeskWithImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.has_model, desk.originals = True, {"original": ""}
    ann.click("Connect")
    ann.click("Next case")
    save, sent, answer = desk.save_draft, threading.Event(), threading.Event()

    def slowly(*what: Any) -> Any:
        sent.set()
        assert answer.wait(PATIENCE_SECONDS)
        breaker_here().check()
        return save(*what)

    monkeypatch.setattr(desk, "save_draft", slowly)
    monkeypatch.setattr(desk, "uncertainty_file", until_it_is_broken_off)
    ann.paint("liver", boxes(1) == 1, AFFINE_RAS)
    ann.begin_to_slide(40)
    ann.now += 31
    ann.panel.tick()
    ann.wait_until(sent.is_set)
    ann.begin("Cancel")
    ann.wait_until(lambda: not ann.panel._doing.fetches_map)
    assert ann.line == "cancelled"
    answer.set()
    ann.let_end()
    assert [what[0] for what in desk.sent if what[0] == "draft"] == ["draft"]
    assert ann.session.connected


def test_nobody_draws_or_marks_while_a_case_is_left_and_everybody_while_it_is_kept(
    ann: PanelOnScreen, desk: DeskWithImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann.click("Connect")
    ann.click("Next case")
    ann.paint("liver", boxes(1) == 1, AFFINE_RAS)
    assert ann.may_draw
    with monkeypatch.context() as patch:
        patch.setattr(desk, "save_draft", until_it_is_broken_off)
        ann.begin("Keep draft")
        assert ann.may_draw
        ann.click("Cancel")
        patch.setattr(desk, "save_label", until_it_is_broken_off)
        ann.begin("Finish")
        assert not ann.may_draw
        assert not ann.is_enabled("Slice done")
        ann.begin_to_press(DONE_KEY)
        assert ann.session.case is not None
        assert ann.session.case.done == set()
        ann.click("Cancel")
    assert ann.may_draw
    ann.click("Finish")
    assert ann.session.case is None
    assert ann.may_draw


def test_progress_is_not_asked_for_behind_what_takes_long(
    ann: PanelOnScreen, desk: DeskWithImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def progress() -> Progress:
        asked.append(1)
        return Progress("4 more labels")

    monkeypatch.setattr(desk, "progress", progress, raising=False)
    ann.click("Connect")
    ann.click("Next case")
    ann.show_tab(2)
    ann.wait(5)
    assert len(asked) == 2
    monkeypatch.setattr(desk, "save_label", until_it_is_broken_off)
    ann.begin("Finish")
    for _ in range(30):
        ann.panel.tick()
    ann.begin("Cancel")
    ann.let_end()
    assert len(asked) == 2


def test_an_error_that_nobody_expected_keeps_no_drawing_from_being_kept_at_the_end(
    ann: PanelOnScreen, desk: DeskWithImages, caplog: pytest.LogCaptureFixture
) -> None:
    ann.click("Connect")
    ann.click("Next case")
    ann.paint("liver", boxes(1) == 1, AFFINE_RAS)

    def fails() -> None:
        raise KeyError("nobody expected this")

    ann.panel._doing.look(fails)
    ann.panel.close()
    assert [what[0] for what in desk.sent if what[0] == "draft"] == ["draft"]
    assert "nobody expected this" in caplog.text


def test_the_end_does_not_wait_for_a_request_that_cannot_be_broken_off(
    ann: PanelOnScreen, desk: DeskWithImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann.click("Connect")
    ann.click("Next case")
    ann.paint("liver", boxes(1) == 1, AFFINE_RAS)
    monkeypatch.setattr(doing, "END_SECONDS", 0.2)
    never = threading.Event()
    ann.panel._doing.look(lambda: never.wait(PATIENCE_SECONDS))
    ann.panel.close()
    assert ann.panel._doing.busy, "it was waited for"
    assert [what[0] for what in desk.sent if what[0] == "draft"] == ["draft"]
    never.set()


def test_something_unfinished_is_asked_about_before_it_is_left(ann: PanelOnScreen, desk: DeskWithImages) -> None:
    ann.click("Connect")
    ann.click("Next case")
    ann.click("Next case")
    assert ann.questions == []
    ann.paint("liver", boxes(1) == 1, AFFINE_RAS)
    desk.originals["final"] = ""
    ann.agrees = False
    ann.click("Take the next label")
    assert ann.questions == ["case7 is not finished. Its drawing is kept as a draft, which comes first again. Go on?"]
    assert ann.session.case.review is None
    ann.agrees = True
    ann.click("Take the next label")
    assert [what[0] for what in desk.sent if what[0] in ("draft", "review")] == ["draft", "review"]
    assert ann.case_line == "case7: version 2 by bob, under your review."


def test_unmarked_slices_that_were_asked_for_are_asked_about(ann: PanelOnScreen, desk: DeskWithImages) -> None:
    desk.queries = [SLICES]
    ann.click("Connect")
    ann.click("Next case")
    ann.click("Slice done")
    ann.agrees = False
    ann.click("Finish")
    assert ann.questions == ["2 slices that were asked for are not marked as done, and will not count. Go on?"]
    ann.click("Slice done")
    ann.click("Slice done")
    ann.click("Finish")
    assert len(ann.questions) == 1
    assert ann.session.case is None


def test_a_refusal_is_said_in_red_and_the_case_stays(ann: PanelOnScreen, desk: DeskWithImages) -> None:
    ann.click("Connect")
    ann.click("Next case")
    ann.paint("liver", boxes(1) == 1, AFFINE_RAS)
    desk.refuses = "label.nii.gz: two segments are called 'liver'"
    ann.click("Finish")
    assert ann.line == "label.nii.gz: two segments are called 'liver'"
    assert "#c62828" in ann.panel._doing.status.styleSheet()
    assert ann.session.case is not None
    assert QtWidgets.QApplication.overrideCursor() is None


def test_what_a_reviewer_wrote_is_shown_as_it_was_written(ann: PanelOnScreen, desk: DeskWithImages) -> None:
    desk.queries = [replace(VOLUME, returned="rev: <img src='file:///x'><b>approved</b>")]
    ann.click("Connect")
    ann.click("Next case")
    text = ann.panel._case_text
    assert "<b>approved</b>" in text.text()
    assert text.textFormat() == Qt.PlainText
    assert ann.panel._doing.status.textFormat() == Qt.PlainText


def test_a_full_disk_is_said_and_the_drawing_stays(
    ann: PanelOnScreen, desk: DeskWithImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann.click("Connect")
    ann.click("Next case")
    ann.paint("liver", boxes(1) == 1, AFFINE_RAS)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device", "new.nii.gz")

    monkeypatch.setattr(Outbox, "put", full)
    ann.click("Finish")
    assert "No space left on device" in ann.line
    assert "#c62828" in ann.panel._doing.status.styleSheet()
    assert ann.session.case is not None
    assert ann.session.is_unsaved


def test_the_slider_shows_the_uncertainty_and_starts_at_nothing_with_each_case(
    ann: PanelOnScreen, desk: DeskWithImages
) -> None:
    desk.has_model, desk.originals = True, {"original": ""}
    ann.click("Connect")
    ann.click("Next case")
    ann.slide(40)
    composites = list(ann.scene._each("vtkMRMLSliceCompositeNode"))
    assert [one.GetForegroundOpacity() for one in composites] == [0.4] * 3
    ann.click("Finish and next")
    assert ann.panel._opacity.value() == 0


def test_review_buttons_are_for_reviewers(ann: PanelOnScreen, desk: DeskWithImages) -> None:
    desk.may_review = False
    ann.click("Connect")
    assert not ann.is_enabled("Take the next label")


def test_a_reviewer_decides_between_two_readings(ann: PanelOnScreen, desk: DeskWithImages) -> None:
    desk.reviews = [Review("case7", 2, "bob", None, Readings("bob", "cid", "liver Dice 0.61"))]
    desk.originals = {"final": "", "reading_2": ""}
    ann.click("Connect")
    assert not ann.is_shown("Merge both")
    ann.click("Take the next label")
    assert ann.is_shown("Merge both")
    assert "the first by bob, the second by cid. Shown is the first." in ann.panel._tabs._readings_text.text()
    ann.click("Show second")
    assert "Shown is the second." in ann.panel._tabs._readings_text.text()
    assert ann.questions == []
    ann.paint("spleen", boxes(1) == 1, AFFINE_RAS)
    ann.agrees = False
    ann.click("Merge both")
    assert ann.questions == ["What you have drawn is given up. Go on?"]
    assert ann.session.case is not None
    ann.agrees = True
    ann.write("note for the annotator", "both are right")
    ann.click("Merge both")
    assert desk.sent[-1] == ("adjudicate", "case7", "staple", "both are right")
    assert ann.line == "case7: one label of both readings is approved"
    assert ann.panel._tabs._note.text() == "", "it belongs to no other label"
    assert not ann.is_shown("Merge both")


def test_a_reading_that_is_shown_takes_the_place_of_the_one_before(ann: PanelOnScreen, desk: DeskWithImages) -> None:
    desk.reviews = [Review("case7", 2, "bob", None, Readings("bob", "cid", "liver Dice 0.00"))]
    desk.originals = {"final": "", "reading_2": ""}
    ann.click("Connect")
    ann.click("Take the next label")
    ann.paint("spleen", boxes(0, 1) == 1, AFFINE_RAS)
    ann.click("Show second")
    ann.scene.write_label(ann.folder / "shown.nii.gz", ("liver", "spleen"))
    np.testing.assert_array_equal(np.asarray(nibabel.load(ann.folder / "shown.nii.gz").dataobj), boxes(1))


def test_the_worklist_shows_one_state_or_all(ann: PanelOnScreen, desk: DeskWithImages) -> None:
    ann.click("Connect")
    ann.show_tab(1)
    assert ann.worklist() == [
        ("case7", "training", "finished", "bob", ""),
        ("case8", "validation", "returned", "rev", "tip"),
    ]
    assert ann.panel._tabs._counts.text() == "1 finished, 1 returned"
    ann.choose("state", "returned")
    assert [row[0] for row in ann.worklist()] == ["case8"]
    assert desk.sent[-1] == ("worklist", ("returned",))


def test_a_case_that_cannot_be_annotated_is_brought_back_from_the_worklist(
    ann: PanelOnScreen, desk: DeskWithImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = (
        Row("case7", "training", "skipped", "bob", ""),
        Row("case9", "training", "cannot be annotated", "bob", "blurred"),
    )
    monkeypatch.setattr(desk, "worklist", lambda states=(): Worklist(rows, {}))
    ann.click("Connect")
    ann.show_tab(1)
    table, back = ann.panel._tabs._worklist, ann.panel._tabs._back
    assert not back.isEnabled()
    table.setCurrentCell(0, 0)
    assert not back.isEnabled()  # it comes again by itself
    table.setCurrentCell(1, 2)
    assert back.isEnabled()
    ann.click("Bring back")
    assert desk.sent[-1] == ("bring back", "case9")
    assert ann.line == "case9 is brought back"
    assert not back.isEnabled()  # nothing is chosen in the new list

    def refuse(image: str) -> None:
        raise RefusedError(409, f"image '{image}' is leased")

    monkeypatch.setattr(desk, "bring_back", refuse)
    table.setCurrentCell(1, 0)
    ann.click("Bring back")
    assert ann.line == "image 'case9' is leased"


def test_until_when_a_case_is_kept_is_shown(ann: PanelOnScreen, desk: DeskWithImages) -> None:
    until = datetime.now(timezone.utc) + timedelta(minutes=30, seconds=20)
    desk.queries = [replace(VOLUME, expires=until.isoformat())]
    ann.click("Connect")
    assert ann.panel._expiry.text() == ""
    ann.click("Next case")
    assert ann.panel._expiry.text() == f"It is kept for you until {until.astimezone():%H:%M} (30 min)."
    ann.click("Finish")
    assert ann.panel._expiry.text() == ""


def test_the_states_that_can_be_chosen_are_those_of_the_server() -> None:
    assert sorted(STATES) == sorted(state.value for state in CaseState)


def test_every_second_is_quiet_while_nothing_happens(ann: PanelOnScreen, desk: DeskWithImages) -> None:
    ann.click("Connect")
    ann.click("Next case")
    ann.wait(120)
    assert ann.line == VOLUME.reason
    ann.panel.close()
    assert [what[0] for what in desk.sent] == ["login", "next"]


# The names of Slicer and Qt, by which mypy checks what does not run here


def _classes(file: Path) -> dict[str, list[str]]:
    """Return what a stub declares of each class."""
    found = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            methods = [part.name for part in node.body if isinstance(part, ast.FunctionDef) and part.name[0] != "_"]
            fields = [part.target.id for part in node.body if isinstance(part, ast.AnnAssign)]  # type: ignore[union-attr]
            found[node.name] = [*methods, *fields]
    return found


def test_qt_has_every_name_that_the_panel_uses() -> None:
    qt, declared = QtAsInSlicer("qt"), _classes(STUBS / "qt.pyi")
    assert len(declared) > 20
    missing = [
        f"{kind}.{name}"
        for kind, names in declared.items()
        for name in names
        if kind not in ("Signal", "QLayout") and not hasattr(getattr(qt, kind), name)
    ]
    assert missing == []


def test_slicer_has_every_name_that_the_scene_uses() -> None:
    """Where a node is found by its class's name, its methods are declared with the base class."""
    text = (STUBS / "slicer" / "__init__.pyi").read_text(encoding="utf-8").split("# Of the application alone")[0]
    declared = {name: members for name, members in _classes(STUBS / "slicer" / "__init__.pyi").items() if name in text}
    of_views = [slicer.vtkMRMLSliceNode, slicer.vtkMRMLSliceCompositeNode]
    missing = [
        f"{kind}.{name}"
        for kind, members in declared.items()
        if re.search(rf"class {kind}\b", text)
        for name in members
        if not any(hasattr(one, name) for one in [getattr(slicer, kind), *of_views])
    ]
    assert missing == []
