"""Requests that are sent again, as their answers were lost, against a project to which each came once."""

import shutil
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from small_studies import write_nifti

from activelabel.annotation.archive import LabelArchive
from activelabel.annotation.history_reader import HistoryReader
from activelabel.data.grids import Grid
from activelabel.errors import ActiveLabelError
from activelabel.server.client_info import read_label_info
from activelabel.store.case_states import Verdict
from activelabel.store.cases.skips import NOT_NOW
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger

GRID = Grid((2, 2, 3), np.diag([1.0, 1.0, 2.0, 1.0]))
IMAGE = "a"
annotators, drawings = st.sampled_from(["ann", "bob"]), st.tuples(*[st.sampled_from([0, 1])] * 3)
times = st.sampled_from([1, 2, 3])


class Project:
    """An archive of one image, and a ledger whose clock stands still."""

    def __init__(self, folder: Path, empty: Path) -> None:
        folder.mkdir()
        shutil.copy(empty, folder / "ledger.sqlite")
        self.folder, self.now = folder, datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
        self.ledger = Ledger(sqlite_url(folder / "ledger.sqlite"), lambda: self.now)
        self.ledger.sync_images([IMAGE], 0)
        reader = HistoryReader(self.ledger, ("ball",), folder / "labels", folder / "predictions", False)
        self.archive = LabelArchive(self.ledger, reader, "acquisition")

    def send(self, annotator: str, drawing: tuple[int, ...], finished: bool, unanswered: bool = False) -> None:
        array = np.zeros(GRID.shape, np.uint8) + np.array(drawing, np.uint8)
        file = write_nifti(self.folder / "sent.nii.gz", array, GRID.affine_ras)
        said = {"finished": finished, "confirmed": True, "unanswered": unanswered}
        info = read_label_info({"client_id": annotator, **said})
        self.archive.keep(IMAGE, "final", file, GRID, info)

    def story(self) -> Any:
        """What the ledger tells of the case, without names of files and numbers of rows."""
        ledger = self.ledger
        labels = [
            (label.tag, label.version, label.annotator, label.slices, label.superseded_at, label.sha256)
            for label in ledger.history(IMAGE)
        ]
        drafts = [(draft.annotator, draft.sha256) for draft in ledger.open_drafts()]
        decisions = [(review.outcome, review.note) for review in ledger.standing_decisions().values()]
        queries = [(lease.annotator, lease.outcome, lease.ended_at) for lease in ledger.leases()]
        return ledger.case_facts(IMAGE), labels, drafts, decisions, queries, len(ledger.skips())


class Lost(RuleBasedStateMachine):
    """Each request reaches `once` one time, and `often` as many times as its client has to repeat it."""

    def __init__(self, folder: Path, empty: Path) -> None:
        super().__init__()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self.once, self.often = Project(folder / "once", empty), Project(folder / "often", empty)
        self.latest: tuple[str, tuple[int, ...]] | None = None

    def both(self, times: int, act: Callable[[Project], object]) -> None:
        """Do something: a refusal of what was done already is what a client is told that repeats it."""
        try:
            act(self.once)
        except ActiveLabelError:
            return
        act(self.often)
        for _ in range(times - 1):
            act(self.often)

    @rule(annotator=annotators, times=times)
    def ask(self, annotator: str, times: int) -> None:
        self.both(times, lambda project: project.ledger.grant_lease(annotator, IMAGE, 30, "random"))

    @rule(annotator=annotators, drawing=drawings, times=times)
    def finish(self, annotator: str, drawing: tuple[int, ...], times: int) -> None:
        self.both(times, lambda project: project.send(annotator, drawing, finished=True))
        self.latest = annotator, drawing

    @rule(annotator=annotators, drawing=drawings, times=times)
    def finish_and_keep_as_a_draft_what_no_answer_came_to(
        self, annotator: str, drawing: tuple[int, ...], times: int
    ) -> None:
        self.finish(annotator, drawing, 1)
        for _ in range(times):
            self.often.send(annotator, drawing, finished=False, unanswered=True)

    @rule(annotator=annotators, drawing=drawings, times=times)
    def keep_a_draft(self, annotator: str, drawing: tuple[int, ...], times: int) -> None:
        self.both(times, lambda project: project.send(annotator, drawing, finished=False))
        self.latest = None

    @rule(annotator=annotators, times=times)
    def skip(self, annotator: str, times: int) -> None:
        self.both(times, lambda project: project.ledger.skip_case(annotator, NOT_NOW, "tired", IMAGE))

    @rule(times=times)
    def approve(self, times: int) -> None:
        self.both(times, lambda project: project.ledger.decide(IMAGE, "rev", Verdict.APPROVED))

    @rule()
    def repeat_the_latest_label_after_whatever_came_since(self) -> None:
        held = None if self.latest is None else self.often.ledger.active_lease(self.latest[0])
        if self.latest is not None and held is None:
            self.often.send(*self.latest, finished=True)

    @rule(minutes=st.sampled_from([1, 25]))
    def wait(self, minutes: int) -> None:
        for project in (self.once, self.often):
            project.now += timedelta(minutes=minutes)

    @invariant()
    def both_tell_the_same(self) -> None:
        assert self.often.story() == self.once.story()


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """The file of an empty ledger."""
    ledger = Ledger(sqlite_url(tmp_path / "empty.sqlite"))
    ledger.open()
    ledger.close()
    return tmp_path / "empty.sqlite"


def test_a_label_drawn_again_on_a_changed_image_is_an_answer_of_its_own(tmp_path: Path, empty: Path) -> None:
    """The annotator was told to draw it again on the new image, opens it, finds it right as it is, and saves."""
    project = Project(tmp_path / "project", empty)
    for content in ("1", "2"):
        project.ledger.record_file(IMAGE, content * 64, 1, 1, [0.0, 1.0, 2.0, 0.0])
        for _ in range(2):  # the second time it is a repetition
            project.send("ann", (0, 1, 0), finished=True)
    drawn_on = [label.image_sha256 for label in project.ledger.history(IMAGE) if label.tag == "final"]
    assert drawn_on == ["1" * 64, "2" * 64]


def test_a_finished_label_that_is_sent_as_not_finished_is_a_draft(tmp_path: Path, empty: Path) -> None:
    project = Project(tmp_path / "project", empty)
    project.send("ann", (0, 1, 0), finished=True)
    for _ in range(2):
        project.send("ann", (0, 1, 0), finished=False)
    assert [(draft.annotator, draft.version) for draft in project.ledger.open_drafts()] == [("ann", 1)]


def test_a_drawing_whose_finished_label_has_not_come_is_kept_as_the_draft_that_it_is_sent_as(
    tmp_path: Path, empty: Path
) -> None:
    project = Project(tmp_path / "project", empty)
    project.send("ann", (0, 1, 0), finished=False, unanswered=True)
    assert [draft.annotator for draft in project.ledger.open_drafts()] == ["ann"]
    project.send("ann", (0, 1, 0), finished=True)
    assert project.ledger.open_drafts() == []
    project.send("ann", (1, 1, 0), finished=False, unanswered=True)  # drawn on since
    assert [draft.annotator for draft in project.ledger.open_drafts()] == ["ann"]


def test_a_request_that_is_sent_again_changes_nothing(tmp_path: Path, empty: Path) -> None:
    run_state_machine_as_test(
        lambda: Lost(tmp_path / "projects", empty),
        settings=settings(
            max_examples=6, stateful_step_count=12, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        ),
    )
