"""Reviews as clients request them: a real project and datastore behind the real routes, without the host."""

import csv
import io
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from email.message import Message
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel
import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from monailabel.endpoints import datastore as host_datastore
from small_studies import TINY_RECIPE, boxes, write_image, write_nifti

from activelabel.acquisition.effort import Effort
from activelabel.annotation.archive import open_archive
from activelabel.annotation.history_reader import HistoryReader
from activelabel.data.grids import Grid
from activelabel.data.labels.arrays import LabelArray
from activelabel.errors import ForbiddenError
from activelabel.login.identity import Identity, Role, asking
from activelabel.loop.training_cases import usable_annotations
from activelabel.project.export.audit import audit_table
from activelabel.project.opening import open_project
from activelabel.report.page import Block, Table
from activelabel.report.project import project_page
from activelabel.server.actions.blind import BlindReadings, blind_for_all
from activelabel.server.actions.cases import CaseActions
from activelabel.server.actions.reviews import ReviewActions
from activelabel.server.actions.worklist import WorklistReader
from activelabel.server.datastores.folder import LedgerDatastore
from activelabel.server.login.roles import LEAST
from activelabel.server.routes import case_routes, datastore_routes
from activelabel.server.tasks.strategy import host_strategies
from activelabel.store.case_states import MOVES, CaseEvent
from activelabel.store.records.case import CaseHistory
from activelabel.store.records.labels import Annotation
from activelabel.store.records.reviews import Review
from ActiveLabelLib.errors import RefusedError
from ActiveLabelLib.server.answers import Readings
from ActiveLabelLib.server.connection import Connection
from ActiveLabelLib.server.server import FINAL, SECOND_READING, Server

NAMES = [f"case_{number}" for number in range(4)]
BALL, BOX, BOTH = boxes(1), boxes(2), boxes(1, 2)
ANN, BOB, EVE = (Identity(name, Role.ANNOTATOR) for name in ("ann", "bob", "eve"))
REV = Identity("rev", Role.REVIEWER)
NO_SLICES = 'annotated_slices: expected "all" or a list of slices from 0 to 7, each once'


class Ward:
    """A project on a folder of four images, whose routes are asked by name."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, **conf: str) -> None:
        self.folder, self.studies = folder, folder / "studies"
        settings = {"recipe": str(TINY_RECIPE), "labels": "ball,box", "device": "cpu", "finished_by": "saving", **conf}
        self.project = open_project(str(folder), str(self.studies), settings)
        self.ledger = self.project.ledger
        self.ledger.sync_images(NAMES, 1)
        archive = open_archive(self.project)
        self.store = LedgerDatastore(str(self.studies), self.ledger, archive, validation_cases=1, follow_changes=False)
        nothing = lambda: None  # noqa: E731
        self.cases = CaseActions(self.project, self.store, host_strategies(self.project), nothing)
        self.blind = BlindReadings(self.project)
        app = SimpleNamespace(
            datastore=self.store,
            cases=self.cases,
            reviews=ReviewActions(self.project, self.store, nothing),
            blind=self.blind,
            project=self.project,
            look_for_work=nothing,
        )
        for routes in (case_routes, datastore_routes):
            patch.setattr(routes, "application", lambda: app)
        patch.setattr(host_datastore, "app_instance", lambda: SimpleNamespace(datastore=lambda: self.store))
        web = FastAPI()
        web.router.routes[:0] = [*case_routes.router.routes, *datastore_routes.router.routes]
        self.client = TestClient(web)

    def ask(self, annotator: str = "ann") -> dict[str, Any]:
        return self.cases.next_sample({"client_id": annotator, "strategy": "random"})

    def post(self, action: str, person: str = "rev", status: int = 200, **body: Any) -> Any:
        answer = self.client.post(f"/activelabel/{action}", json={"client_id": person, **body})
        assert answer.status_code == status, answer.text
        return answer.json() if status == 200 else answer.json()["detail"]

    def send(
        self, image: str, annotator: str = "ann", drawn: Any = BOTH, tag: str = "final", status: int = 200, **info: Any
    ) -> Any:
        file = write_nifti(self.folder / "sent.nii.gz", drawn)
        answer = self.client.put(
            "/datastore/label",
            params={"image": image, "tag": tag},
            data={"params": json.dumps({"client_id": annotator, **info})},
            files={"label": (file.name, file.read_bytes())},
        )
        assert answer.status_code == status, answer.text
        return answer.json()

    def draft(self, image: str, annotator: str = "ann", drawn: Any = BOTH, status: int = 200, **info: Any) -> Any:
        file = write_nifti(self.folder / "drawn.nii.gz", drawn)
        answer = self.client.put(
            "/activelabel/draft",
            params={"image": image},
            data={"params": json.dumps({"client_id": annotator, **info})},
            files={"label": (file.name, file.read_bytes())},
        )
        assert answer.status_code == status, answer.text
        return answer.json()

    def reviewer_module(self, image: str, tag: str = "final", **meta: str) -> None:
        """What Slicer's module MONAI Label Reviewer sends."""
        whole = {"status": "", "approvedBy": "rev", "level": "", "comment": "", "editTime": 1, **meta}
        answer = self.client.put(
            "/datastore/updatelabelinfo",
            params={"label": image, "tag": tag},
            data={"params": json.dumps({"segmentationMeta": whole})},
        )
        assert answer.status_code == 200, answer.text

    def may_see(self, image: str, tag: str, who: Identity | None) -> bool:
        """Whether a person may download a label."""
        with self.as_user(who):
            try:
                self.blind.require_may_see(image, tag)
            except ForbiddenError:
                return False
            return True

    @contextmanager
    def as_user(self, who: Identity | None) -> Iterator[None]:
        """Ask as a person who has logged in."""
        asks = asking.set(who)
        try:
            yield
        finally:
            asking.reset(asks)

    def listed(self, image: str, tag: str = "final") -> dict[str, Any]:
        return dict(self.store.get_label_info(image, tag))

    def state(self, image: str) -> str:
        return self.ledger.case_facts(image).state.value

    def learnt(self) -> list[str]:
        return [
            label.image_id for role in ("training", "validation") for label in usable_annotations(self.ledger, role)
        ]

    def shown(self, image: str) -> np.ndarray:
        return np.asarray(nibabel.load(self.studies / "labels" / "original" / f"{image}.nii.gz").dataobj)


@pytest.fixture
def open_ward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ward]:
    (tmp_path / "studies").mkdir()
    for number, name in enumerate(NAMES):
        write_image(tmp_path / "studies" / f"{name}.nii.gz", number)
    return lambda **conf: Ward(tmp_path, monkeypatch, **conf)


@pytest.fixture
def ward(open_ward: Callable[..., Ward]) -> Ward:
    return open_ward()


def test_a_returned_label_goes_back_to_its_annotator_with_the_note_and_counts_once_it_is_sent_again(ward: Ward) -> None:
    image = ward.ask()["id"]
    ward.send(image)
    assert ward.learnt() == [image]

    taken = ward.post("review")["review"]
    assert (taken["image"], taken["version"], taken["annotator"], taken["slices"]) == (image, 1, "ann", None)
    assert ward.state(image) == "in review"
    answer = ward.post("return", image=image, note="the box is too small", difficulty="hard")
    assert (answer["state"], answer["review"]["verdict"]) == ("returned", "returned")
    assert ward.learnt() == []

    assert ward.ask("bob")["id"] != image  # others get it last
    again = ward.ask("ann")
    assert again["id"] == image
    assert again["reason"] == "rev returned your label: the box is too small"
    assert np.array_equal(ward.shown(image), BOTH)
    query = ward.client.get("/activelabel/query", params={"client_id": "ann"}).json()["query"]
    assert (query["image"], query["kind"], query["draft"]) == (image, "volume", False)
    places = {"axis": 2, "plane": "axial", "towards": "S", "count": 8, "first_mm": 0.0, "step_mm": 2.0}
    assert (query["axis"], query["slices"], query["places"]) == (None, [], places)
    assert (query["returned"]["note"], query["returned"]["difficulty"]) == ("the box is too small", "hard")

    ward.send(image, drawn=BALL)
    assert ward.state(image) == "finished"
    assert ward.learnt() == [image]
    assert len([label for label in ward.ledger.history(image) if label.tag == "final"]) == 2


def test_a_reviewer_is_told_where_the_slices_of_a_label_lie(ward: Ward) -> None:
    ward.send(NAMES[0], annotated_slices=[1, 6])
    taken = ward.post("review")["review"]
    assert (taken["slices"], taken["plane"]) == ([1, 6], "axial")
    assert taken["covered"] == [  # a CT of slices from the feet, 2 mm apart, which OHIF counts from the head
        {"index": 1, "number": 2, "ohif_number": 7, "position_mm": 2.0},
        {"index": 6, "number": 7, "ohif_number": 2, "position_mm": 12.0},
    ]
    ward.send(NAMES[1])
    taken = ward.post("review", image=NAMES[1])["review"]
    assert (taken["slices"], taken["plane"], taken["covered"]) == (None, None, [])


@pytest.mark.parametrize("problem", ["gone", "damaged", "another"])
def test_a_reviewer_gets_a_case_whose_image_cannot_be_read(ward: Ward, problem: str) -> None:
    ward.send(NAMES[0], annotated_slices=[1, 6])
    file = ward.studies / f"{NAMES[0]}.nii.gz"
    if problem == "gone":
        file.unlink()
    elif problem == "damaged":
        file.write_bytes(b"damaged")
    else:
        write_nifti(file, boxes(1)[..., :5])
    taken = ward.post("review")["review"]
    assert (taken["image"], taken["slices"], taken["plane"], taken["covered"]) == (NAMES[0], [1, 6], None, [])
    assert ward.post("return", image=NAMES[0], note="the image is broken")["state"] == "returned"


def test_a_reviewer_is_told_where_slices_lie_that_nobody_has_counted(ward: Ward) -> None:
    ward.send(NAMES[0], annotated_slices=[1, 6])
    with sqlite3.connect(ward.ledger.file) as database:
        database.execute("UPDATE images SET slice_axis = NULL, slice_count = NULL")
    taken = ward.post("review")["review"]
    assert (taken["plane"], [one["index"] for one in taken["covered"]]) == ("axial", [1, 6])


def test_slices_of_a_returned_label_that_come_back_empty_are_empty(ward: Ward) -> None:
    """The label of slices 0 to 3 has a box on 2 and 3 that should not be there: its annotator removes it."""
    ward.send(NAMES[0], annotated_slices=[0, 1, 2, 3])
    ward.post("return", image=NAMES[0], note="there is no box")
    query = ward.ask()["query"]
    assert (query["kind"], query["slices"]) == ("slices", [0, 1, 2, 3])
    ward.send(NAMES[0], drawn=BALL)
    label = ward.ledger.current_annotation(NAMES[0])
    assert (label.version, label.slices, label.foreground_slices) == (2, (0, 1, 2, 3), 2)
    assert np.array_equal(np.asarray(nibabel.load(ward.store.label_file(NAMES[0], "final")).dataobj), BALL)


def test_a_correction_is_not_compared_with_the_label_that_was_returned(open_ward: Callable[..., Ward]) -> None:
    ward = open_ward(finished_by="estimate")
    ward.ask()
    image = ward.ledger.active_lease("ann").image_id
    ward.send(image, finished=True, drawn=boxes(1, 1, 2, 2))
    ward.post("return", image=image, note="half of it is no organ")
    assert ward.ask()["id"] == image
    answer = ward.send(image, drawn=boxes(1, 1))
    assert "the label that counts has something on" not in answer.get("message", "")


def test_with_review_only_approved_labels_are_learnt_from_and_a_newer_one_waits(open_ward: Callable[..., Ward]) -> None:
    ward = open_ward(review="true")
    first, second = NAMES[:2]
    ward.send(first)
    ward.send(second)
    assert ward.learnt() == []
    assert ward.ledger.progress().new_annotations == 0
    assert ward.ledger.count_waiting_for_review() == 2
    ward.post("approve", image=first)
    assert ward.learnt() == [first]
    assert ward.ledger.progress().new_annotations == 1
    ward.send(first, "bob", drawn=BALL)
    assert [(label.image_id, label.version) for label in ward.ledger.labels_to_learn()] == [(first, 1)]
    assert ward.state(first) == "finished"
    ward.post("approve", image=first)
    assert [(label.image_id, label.version) for label in ward.ledger.labels_to_learn()] == [(first, 2)]
    ward.store.remove_label(first, "final")
    assert ward.ledger.labels_to_learn() == []


def test_a_review_takes_a_second_person(ward: Ward) -> None:
    ward.send(NAMES[0], "rev")
    assert ward.post("review") == {"review": None}
    line = ward.post("approve", image=NAMES[0], status=409)
    assert line == "image 'case_0' was drawn by you alone: somebody else has to review it"
    ward.post("review", "eve", image=NAMES[0])
    assert "is being reviewed by somebody else" in ward.post("return", "bob", image=NAMES[0], note="no", status=409)
    assert ward.post("release", "eve") == {"query": None, "review": NAMES[0]}
    assert ward.post("approve", "bob", image=NAMES[0])["state"] == "approved"


def test_a_decision_about_a_label_that_has_changed_meanwhile_is_refused(ward: Ward) -> None:
    ward.send(NAMES[0])
    ward.post("review", image=NAMES[0])
    ward.send(NAMES[0], "bob", drawn=BALL)
    line = "image 'case_0': its label has changed since you opened it: look at it again"
    assert ward.post("approve", image=NAMES[0], status=409) == line
    assert ward.post("review", image=NAMES[0])["review"]["version"] == 2
    assert ward.post("approve", image=NAMES[0], version=1, status=409) == line
    assert ward.post("approve", image=NAMES[0], version=2)["state"] == "approved"


@pytest.mark.parametrize(
    ("action", "body", "status", "line"),
    [
        ("return", {"image": "case_0"}, 422, "note: Field required"),
        ("return", {"image": "case_0", "note": " "}, 422, "note: expected a line that tells the annotator"),
        ("approve", {"image": "case_0", "note": "a\nb"}, 422, "note: String should match pattern"),
        ("approve", {"image": "case_0", "difficulty": "so-so"}, 422, "difficulty: Input should be"),
        ("approve", {"image": "case_1"}, 409, "image 'case_1' has no finished label that could be reviewed"),
        ("review", {"image": "case_9"}, 404, "there is no image 'case_9'"),
    ],
)
def test_impossible_decisions_are_refused_in_one_line(
    ward: Ward, action: str, body: dict[str, str], status: int, line: str
) -> None:
    ward.send(NAMES[0])
    assert ward.post(action, status=status, **body).startswith(line)


def test_the_worklist_says_who_when_and_why(ward: Ward) -> None:
    held = ward.ask("bob")["id"]
    first, second, third = (name for name in NAMES if name != held)
    ward.send(first)
    ward.post("return", image=first, note="the box")
    ward.send(second, finished=False)
    answer = ward.client.get("/activelabel/worklist").json()
    cases = {case["image"]: case for case in answer["cases"]}
    assert {image: (case["state"], case["who"]) for image, case in cases.items()} == {
        held: ("leased", ["bob"]),
        first: ("returned", ["rev"]),
        second: ("draft", ["ann"]),
        third: ("unseen", []),
    }
    assert cases[first]["note"] == cases[first]["review"]["note"] == "the box"
    assert (cases[first]["label"]["annotator"], cases[first]["label"]["version"]) == ("ann", 1)
    assert cases[second]["drafts_of"] == ["ann"]
    assert cases[third]["when"] is None
    assert {state: count for state, count in answer["counts"].items() if count} == {
        "leased": 1, "returned": 1, "draft": 1, "unseen": 1,
    }  # fmt: skip

    def images(**query: Any) -> list[str]:
        found = ward.client.get("/activelabel/worklist", params=query).json()
        return sorted(case["image"] for case in found["cases"])

    assert images(state=["returned", "draft"]) == sorted([first, second])
    assert images(annotator="ann") == sorted([first, second])
    assert ward.client.get("/activelabel/worklist", params={"state": "lost"}).status_code == 422

    def page(**query: Any) -> tuple[list[str], str | None]:
        found = ward.client.get("/activelabel/worklist", params=query).json()
        assert found["counts"] == answer["counts"]  # of all cases, whatever the page has
        return [case["image"] for case in found["cases"]], found["next"]

    everything = sorted(cases)
    assert page(limit=3) == (everything[:3], everything[2])
    assert page(limit=3, after=everything[2]) == (everything[3:], None)
    assert page(limit=4) == (everything, None)
    assert page(limit=1, state=["returned", "draft"]) == ([min(first, second)], min(first, second))
    assert page(limit=1, state="unseen") == ([third], None)
    assert ward.client.get("/activelabel/worklist", params={"limit": 0}).status_code == 422


def test_a_draft_is_kept_opened_again_by_its_annotator_and_never_learnt_from(ward: Ward) -> None:
    answer = ward.draft(NAMES[0], drawn=BALL, finished=True)
    assert (answer["image"], answer["state"]) == (NAMES[0], "draft")
    assert ward.learnt() == []
    back = ward.client.get("/activelabel/draft", params={"image": NAMES[0], "client_id": "ann"})
    (ward.folder / "back.nii.gz").write_bytes(back.content)
    assert np.array_equal(np.asarray(nibabel.load(ward.folder / "back.nii.gz").dataobj), BALL)
    others = ward.client.get("/activelabel/draft", params={"image": NAMES[0], "client_id": "bob"})
    assert (others.status_code, others.json()["detail"]) == (404, "image 'case_0': bob has no draft of it")
    assert ward.post("finish", "ann", image=NAMES[0])["state"] == "finished"


def test_slices_that_a_draft_does_not_name_never_become_background_by_finishing_it(ward: Ward) -> None:
    """A project of volumes: ball and box are drawn on slices 1 to 3 of 8, and the client says that 2 and 3 are done."""
    assert ward.draft(NAMES[0], annotated_slices=[3, 2])["state"] == "draft"
    answer = ward.post("finish", "ann", image=NAMES[0])
    assert (answer["state"], answer["coverage"]) == ("finished", "named by the client")
    label = ward.ledger.current_annotation(NAMES[0])
    assert (label.slices, label.covered_slices, ward.state(NAMES[0])) == ((2, 3), 2, "partly finished")


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ({"annotated_slices": ["x"]}, f"{NO_SLICES}, got x"),
        ({"annotated_slices": 5}, f"{NO_SLICES}, got 5"),
        ({"annotated_slices": [8]}, f"{NO_SLICES}, got 8"),
        ({"finished": "yes"}, "params: expected finished to be true or false, got 'yes'"),
        ({"finished": 5}, "params: expected finished to be true or false, got '5'"),
        ({"confirmed": "no"}, "params: expected confirmed to be true or false, got 'no'"),
    ],
)
def test_what_a_draft_says_is_checked_as_with_a_label(ward: Ward, said: dict[str, Any], line: str) -> None:
    assert ward.draft(NAMES[0], status=422, **said)["detail"] == line
    assert ward.send(NAMES[0], status=422, **said)["detail"] == line
    assert ward.ledger.open_drafts() == []


@pytest.mark.parametrize("after", ["%00", "case%0A", "x" * 256])
def test_a_worklist_does_not_go_on_after_what_is_no_id(ward: Ward, after: str) -> None:
    """PostgreSQL refuses a text with NUL, and the ledger is asked for the ids that follow."""
    answer = ward.client.get(f"/activelabel/worklist?after={after}")
    assert (answer.status_code, answer.json()["detail"][:6]) == (422, "after:")


def test_the_states_that_events_tell_are_those_of_the_worklist(ward: Ward) -> None:
    asked = ward.ask()["id"]
    done = next(name for name in NAMES if name != asked)
    ward.send(done, "bob")
    ward.post("approve", image=done)
    states = WorklistReader(ward.ledger).states()
    assert states == {asked: ("leased", ("ann",)), done: ("approved", ("rev",))}
    listed = {case.image: (case.state.value, tuple(case.who)) for case in ward.cases.worklist().cases}
    assert {image: listed[image] for image in states} == states
    assert {listed[image] for image in listed.keys() - states.keys()} == {("unseen", ())}


def test_releasing_gives_the_case_to_the_next_who_asks(ward: Ward) -> None:
    image = ward.ask()["id"]
    assert ward.client.get("/activelabel/query", params={"client_id": "ann"}).json()["query"]["image"] == image
    assert ward.post("release", "ann") == {"query": image, "review": None}
    assert ward.client.get("/activelabel/query", params={"client_id": "ann"}).json() == {"query": None}
    assert ward.ask("bob")["id"] == image


def test_heartbeats_are_the_active_time_of_the_label(ward: Ward) -> None:
    image = ward.ask()["id"]
    granted = ward.ledger.active_lease("ann").granted_at
    ward.ledger._clock = lambda: granted + timedelta(minutes=40)
    assert ward.post("heartbeat", "ann", seconds=20) == {"image": image, "active_seconds": 20.0}
    assert ward.post("heartbeat", "ann", seconds=30, image=image)["active_seconds"] == 50.0
    assert ward.post("heartbeat", "ann", seconds=0, status=422).startswith("seconds: Input should be greater than 0")
    assert "bob has no query" in ward.post("heartbeat", "bob", seconds=1, status=409)
    ward.send(image)
    label = ward.ledger.current_annotation(image)
    assert (label.seconds, label.active_seconds) == (40 * 60, 50)


# Two readers


@pytest.fixture
def twice(open_ward: Callable[..., Ward]) -> Ward:
    """A project of four cases, of which the validation case is read twice; ann has drawn it as a ball and a box."""
    ward = open_ward(readers="2", readers_share="0.25")
    (image,) = [one.id for one in ward.ledger.images() if one.role == "validation"]
    ward.send(image)
    return ward


def judging(ward: Ward) -> str:
    return next(one.id for one in ward.ledger.images() if one.role == "validation")


def test_nobody_sees_a_first_reading_before_they_are_asked_for_the_second(twice: Ward) -> None:
    image = judging(twice)
    others = [one for one in NAMES if one != image]
    twice.send(others[0])
    assert not twice.may_see(image, "final", BOB)
    assert all(twice.may_see(image, "final", who) for who in (ANN, REV, None))
    assert twice.may_see(others[0], "final", BOB)  # it is read once
    twice.ask("bob")
    twice.send(image, "bob")
    for who in (ANN, BOB, EVE):
        assert twice.may_see(image, "final", who)
        assert twice.may_see(image, "reading_2", who)


def test_a_draft_of_a_case_that_is_read_twice_is_hidden_from_others(open_ward: Callable[..., Ward]) -> None:
    ward = open_ward(readers="2", readers_share="0.25")
    image = judging(ward)
    ward.send(image, "ann", finished=False)
    assert not ward.may_see(image, "original", BOB)
    assert ward.may_see(image, "original", ANN)


def told_to(ward: Ward, who: Identity) -> str:
    """All that the routes tell a person about the case that is read twice, as one text."""
    image = judging(ward)
    with ward.as_user(who):
        worklists = [
            ward.client.get(f"/activelabel/worklist{query}").json()["cases"]
            for query in ("", "?annotator=ann", "?state=finished")
        ]
        drafts = ward.client.get("/activelabel/cases").json()["drafts"]
        listed = ward.client.get("/datastore/", params={"output": "all"}).json()["objects"][image]
        infos = [
            ward.client.get("/datastore/label/info", params={"label": image, "tag": tag}).json()
            for tag in ("final", "original")
        ]
    cases = [case for cases in worklists for case in cases if case["image"] == image]
    return json.dumps([cases, [draft for draft in drafts if draft["id"] == image], listed, infos])


@pytest.mark.parametrize("finished", [True, False])
def test_a_blind_reader_is_not_told_who_has_drawn_the_case(open_ward: Callable[..., Ward], finished: bool) -> None:
    ward = open_ward(readers="2", readers_share="0.25")
    image = judging(ward)
    assert ward.ledger.grant_lease("ann", image, 60, "start", reason="drawn at random") is not None
    assert '"ann"' not in told_to(ward, BOB)  # while ann draws
    assert '"ann"' in told_to(ward, REV)
    ward.send(image, "ann", finished=finished)
    assert '"ann"' not in told_to(ward, BOB)
    assert "kept as a draft" not in told_to(ward, BOB)
    assert '"ann"' in told_to(ward, ANN)
    if finished:
        assert ward.ask("bob")["id"] == image
        assert '"ann"' not in told_to(ward, BOB)
        ward.send(image, "bob")
        assert '"ann"' in told_to(ward, BOB)  # it was read twice


def test_a_blind_reader_sees_the_state_of_the_case(twice: Ward) -> None:
    image = judging(twice)
    with twice.as_user(BOB):
        (case,) = twice.client.get("/activelabel/worklist?state=finished").json()["cases"]
        assert (case["image"], case["who"], case["label"]["annotator"]) == (image, [], None)
        assert twice.client.get("/activelabel/worklist?annotator=ann").json()["cases"] == []
        answer = twice.client.get("/datastore/label/info", params={"label": image, "tag": "final"})
        assert (answer.status_code, answer.json()["detail"]) == (
            403, f"image '{image}': draw it without the first reading, which is shown afterwards",
        )  # fmt: skip


def test_events_name_nobody_while_a_case_waits_for_its_second_reading(twice: Ward) -> None:
    image = judging(twice)

    def states() -> dict[str, tuple[str, tuple[str, ...]]]:
        return WorklistReader(twice.ledger, blind_for_all(twice.project)).states()

    assert states()[image] == ("finished", ())
    twice.ask("bob")
    twice.send(image, "bob")
    assert states()[image] == ("finished", ("ann",))


def test_what_was_decided_about_is_hidden_from_nobody(twice: Ward) -> None:
    image = judging(twice)
    twice.post("approve", image=image)
    assert twice.may_see(image, "final", BOB)


def test_a_reviewer_who_reads_a_case_reads_it_blind(twice: Ward) -> None:
    assert twice.ask("rev")["id"] == judging(twice)
    assert not twice.may_see(judging(twice), "final", REV)


def test_without_second_readings_nothing_is_hidden(ward: Ward) -> None:
    ward.send(NAMES[0])
    assert all(ward.may_see(NAMES[0], "final", who) for who in (BOB, EVE))


def test_a_second_reading_costs_as_much_as_a_first_and_is_counted_beside_it(twice: Ward) -> None:
    image = judging(twice)
    assert twice.ledger.effort({}, "reading_2") == Effort(0, 0, 0, 0, 0, None)
    first = twice.ledger.effort({})
    twice.ask("bob")
    granted = twice.ledger.active_lease("bob").granted_at
    twice.ledger._clock = lambda: granted + timedelta(minutes=10)
    twice.post("heartbeat", "bob", seconds=30, image=image)
    twice.send(image, "bob", drawn=BALL)
    # 8 slices, of which the ball is on two: a third of an effort unit each.
    assert twice.ledger.effort({}, "reading_2") == Effort(8, 2, 1, 2 / 3, 1, 30.0, 1)
    assert twice.ledger.effort({}) == first
    (table,) = [block for block in _costs_section(twice) if isinstance(block, Table)]
    assert table.frame["labels"].tolist() == ["labels that count", "second readings"]
    assert table.frame["seconds a query"].tolist()[1] == 30


def _costs_section(ward: Ward) -> Sequence[Block]:
    return next(one.blocks for one in project_page(ward.project).sections if "cost" in one.title)


def test_a_second_annotator_reads_a_validation_case_without_seeing_the_first_reading(twice: Ward) -> None:
    image = judging(twice)
    assert twice.ask("ann")["id"] != image  # nobody reads their own case again
    sample = twice.ask("bob")
    assert (sample["id"], sample["strategy"], sample["query"]) == (image, "second_reading", {"kind": "volume"})
    assert "original" not in twice.store.get_labels_by_image_id(image)
    assert twice.state(image) == "finished"
    assert not twice.may_see(image, "final", BOB)
    assert twice.may_see(image, "final", ANN)

    answer = twice.send(image, "bob", drawn=boxes(1, 2))
    assert (answer["state"], answer["message"]) == (
        "finished", "kept as a second reading: it is compared with the first",
    )  # fmt: skip
    (reading,) = twice.ledger.readings()
    assert reading.agrees
    assert {name: (one.dice, one.distance_mm) for name, one in reading.structures.items()} == {
        "ball": (1.0, 0.0), "box": (1.0, 0.0),
    }  # fmt: skip
    final = twice.ledger.current_annotation(image)
    assert (final.annotator, final.version, twice.learnt()) == ("ann", 1, [image])
    assert [(lease.annotator, lease.outcome) for lease in twice.ledger.leases()][1] == ("bob", "saved")
    assert twice.ledger.current_annotation(image, "reading_2").annotator == "bob"
    assert twice.ask("eve")["id"] != image
    readings = twice.cases.cases()["readings"]
    assert (readings["wanted"], readings["read_twice"], readings["to_decide"]) == (1, 1, [])
    assert readings["structures"]["box"] == {"cases": 1, "dice": 1.0, "distance_mm": 0.0}


def test_slices_that_a_second_reading_does_not_name_never_become_background(twice: Ward) -> None:
    image = judging(twice)
    twice.ask("bob")
    answer = twice.send(image, "bob", drawn=BALL, annotated_slices=[2, 3])
    assert (answer["state"], twice.ledger.readings()) == ("draft", [])
    assert "names 2 of 8 slices, and a second reading is of the whole volume" in answer["message"]
    assert "names 2 of 8 slices" in twice.post("finish", "bob", image=image, status=422)
    twice.send(image, "bob", drawn=BALL, annotated_slices=[2, 3], finished=False)
    assert "names 2 of 8 slices" in twice.post("finish", "bob", image=image, status=422), "also of what he calls one"
    assert twice.ledger.readings() == []
    assert twice.send(image, "bob", drawn=BALL, annotated_slices="all")["state"] == "finished"
    assert twice.ledger.current_annotation(image, "reading_2").slices is None
    assert twice.send(image, "bob", drawn=BOTH, annotated_slices=list(range(8)))["state"] == "finished"
    assert [reading.agrees for reading in twice.ledger.readings()] == [True]


def test_a_second_reading_that_is_sent_again_is_a_new_version_of_it_and_never_replaces_the_first(twice: Ward) -> None:
    image = judging(twice)
    twice.ask("bob")
    twice.send(image, "bob", drawn=BALL)
    assert twice.cases.cases()["readings"]["to_decide"] == [image]
    answer = twice.send(image, "bob", drawn=boxes(1, 2))
    assert answer["message"] == "kept as a second reading: it is compared with the first"
    final = twice.ledger.current_annotation(image)
    assert (final.annotator, final.version, twice.learnt()) == ("ann", 1, [image])
    second = twice.ledger.current_annotation(image, "reading_2")
    assert (second.annotator, second.version) == ("bob", 2)
    assert [reading.agrees for reading in twice.ledger.readings(with_earlier=True)] == [False, True]
    (reading,) = twice.ledger.readings()
    assert reading.agrees
    readings = twice.cases.cases()["readings"]
    assert (readings["read_twice"], readings["to_decide"]) == (1, [])
    twice.send(image, "bob", drawn=BALL)
    assert (twice.learnt(), twice.cases.cases()["readings"]["to_decide"]) == ([], [image])
    twice.post("adjudicate", image=image, take="first")
    twice.send(image, "bob", drawn=BALL)
    final = twice.ledger.current_annotation(image)
    assert (final.annotator, final.version, twice.state(image)) == ("ann", 1, "approved")


# The first reader's drawing sent again, in the order of the story


def read_differently(twice: Ward) -> str:
    """Have a case read by ann, who draws ball and box, and by bob, who draws the ball alone; return it."""
    image = judging(twice)
    twice.ask("bob")
    twice.send(image, "bob", drawn=BALL)
    return image


def to_decide(ward: Ward) -> list[str]:
    return list(ward.cases.cases()["readings"]["to_decide"])


def compared(ward: Ward) -> list[tuple[str, str, bool, bool]]:
    """Who was compared with whom, whether both agree, and whether this is the current comparison; oldest first."""
    (image,) = {reading.image_id for reading in ward.ledger.readings(with_earlier=True)}
    who = {label.id: label.annotator for label in ward.ledger.history(image)}
    current = ward.ledger.readings()
    return [
        (who[one.first_id], who[one.second_id], one.agrees, one in current)
        for one in ward.ledger.readings(with_earlier=True)
    ]


def test_a_first_reading_that_is_sent_again_is_compared_with_the_second_again(twice: Ward) -> None:
    image = judging(twice)
    twice.ask("bob")
    twice.send(image, "bob", drawn=BOTH)
    assert (twice.learnt(), to_decide(twice)) == ([image], [])
    assert twice.send(image, "ann", drawn=BALL)["state"] == "finished"  # without the box
    final = twice.ledger.current_annotation(image)
    assert (final.annotator, final.version) == ("ann", 2)
    assert (twice.learnt(), to_decide(twice)) == ([], [image])
    assert compared(twice) == [("ann", "bob", True, False), ("ann", "bob", False, True)]
    readings = twice.cases.cases()["readings"]
    assert readings["read_twice"] == 1
    assert readings["structures"]["box"] == {"cases": 1, "dice": 0.0, "distance_mm": None}
    line = f"image '{image}' was drawn by you alone: somebody else has to review it"
    assert twice.post("approve", "ann", image=image, status=409) == line
    twice.send(image, "ann", drawn=BOTH)
    assert (twice.learnt(), to_decide(twice)) == ([image], [])
    assert [current for *_, current in compared(twice)] == [False, False, True]


def test_the_newest_versions_of_both_readers_are_decided_between(twice: Ward) -> None:
    image = read_differently(twice)
    twice.send(image, "ann", drawn=BOX)
    twice.send(image, "bob", drawn=BOTH)
    assert compared(twice)[-1] == ("ann", "bob", False, True)
    taken = twice.post("review")["review"]
    assert (taken["image"], taken["version"]) == (image, 2)
    assert taken["readings"] == {
        "first": "ann", "second": "bob", "agreement": "ball Dice 0.00; box Dice 0.00, 3.0 mm apart",
    }  # fmt: skip
    twice.post("adjudicate", image=image, take="second")
    assert np.array_equal(np.asarray(nibabel.load(twice.store.label_file(image, "final")).dataobj), BOTH)


@pytest.mark.parametrize("who", ["ann", "bob"])
@pytest.mark.parametrize("take", ["first", "second", "staple"])
def test_what_a_reviewer_has_decided_stays_when_a_reader_sends_again(twice: Ward, take: str, who: str) -> None:
    image = read_differently(twice)
    twice.post("adjudicate", image=image, take=take)
    decided = twice.ledger.current_annotation(image)
    answer = twice.send(image, who, drawn=BOX)
    assert answer["state"] == "finished"
    assert answer["message"].startswith("kept as a reading: a reviewer has decided about this case")
    assert twice.ledger.current_annotation(image) == decided
    assert (twice.state(image), twice.learnt(), to_decide(twice)) == ("approved", [image], [])
    kept = twice.ledger.current_annotation(image, "reading_2")
    assert kept.annotator == who
    assert np.array_equal(np.asarray(nibabel.load(twice.store.kept_file(kept)).dataobj), BOX)
    other = {"ann": "bob", "bob": "ann"}[who]
    assert compared(twice)[-1] == (other, who, False, True)
    assert [current for *_, current in compared(twice)].count(True) == 1


@pytest.mark.parametrize(("take", "corrects"), [("first", "ann"), ("second", "bob")])
def test_a_decision_that_is_taken_back_opens_the_case_for_both_readers(twice: Ward, take: str, corrects: str) -> None:
    """The label goes back to who has drawn it, and what comes is compared with the newest reading of the other."""
    image = read_differently(twice)
    twice.post("adjudicate", image=image, take=take)
    twice.send(image, corrects, drawn=BOX)  # kept beside what was decided
    twice.post("return", image=image, note="look at the box again")
    assert twice.ask(corrects)["id"] == image
    twice.send(image, corrects, drawn=BOX)
    other = {"ann": "bob", "bob": "ann"}[corrects]
    assert compared(twice)[-1] == (corrects, other, False, True)
    final, second = (twice.ledger.current_annotation(image, tag) for tag in ("final", "reading_2"))
    assert (final.annotator, second.annotator, to_decide(twice)) == (corrects, other, [image])
    drawn = {"ann": BOTH, "bob": BALL}[other]  # what a reviewer sees as the second reading is the other's
    assert np.array_equal(np.asarray(nibabel.load(twice.store.label_file(image, "reading_2")).dataobj), drawn)
    assert twice.post("review")["review"]["readings"]["second"] == other
    twice.post("adjudicate", image=image, take="second")
    assert twice.ledger.current_annotation(image).annotator == other
    assert twice.learnt() == [image]


@pytest.mark.parametrize("who", ["ann", "bob"])
@pytest.mark.parametrize("take", ["first", "second", "staple"])
def test_nobody_decides_between_readings_of_which_they_have_seen_older_versions(
    twice: Ward, take: str, who: str
) -> None:
    image = read_differently(twice)
    assert twice.post("review")["review"]["image"] == image
    twice.send(image, who, drawn=BOX)
    before = twice.ledger.current_annotation(image)
    line = f"image '{image}': a reading has changed since you opened it: look at both again"
    assert twice.post("adjudicate", image=image, take=take, status=409) == line
    assert twice.ledger.current_annotation(image) == before
    (reading,) = twice.ledger.readings()
    assert twice.post("review")["review"]["readings"]["agreement"] == reading.in_words
    assert twice.post("adjudicate", image=image, take=take)["state"] == "approved"


def test_a_reader_who_reviews_a_third_persons_label_lets_go_of_it_when_the_readings_differ_from_then_on(
    twice: Ward,
) -> None:
    image = judging(twice)
    assert twice.ask("bob")["id"] == image
    twice.send(image, "bob", drawn=BOTH)
    twice.send(image, "eve", drawn=BALL)
    assert twice.post("review", "bob", image=image)["review"]["image"] == image
    twice.send(image, "ann", drawn=BOX)
    assert compared(twice)[-1] == ("bob", "ann", False, True)
    assert twice.ledger.open_review("bob") is None
    assert twice.post("review")["review"]["image"] == image


def test_who_holds_the_review_no_more_does_not_decide_about_what_they_have_not_seen_either(twice: Ward) -> None:
    image = read_differently(twice)
    assert twice.post("review")["review"]["image"] == image
    twice.post("release")
    twice.send(image, "bob", drawn=BOX)
    line = f"image '{image}': a reading has changed since you opened it: look at both again"
    assert twice.post("adjudicate", image=image, take="second", status=409) == line


def test_a_reading_that_is_sent_again_while_two_are_merged_is_not_passed_over(
    twice: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = read_differently(twice)
    assert twice.post("review")["review"]["image"] == image
    merge = ReviewActions._write_merged

    def merge_then_bob(*arguments: Any) -> Path:
        merged = merge(*arguments)
        twice.send(image, "bob", drawn=BOX)
        return merged

    monkeypatch.setattr(ReviewActions, "_write_merged", merge_then_bob)
    line = f"image '{image}': a reading has changed since you opened it: look at both again"
    assert twice.post("adjudicate", image=image, take="staple", status=409) == line
    assert twice.ledger.current_annotation(image).annotator == "ann"


def test_what_was_not_chosen_is_not_approved(twice: Ward) -> None:
    """Eve sends a label between the choice of a reviewer and its approval: she has a newer one than they chose."""
    image = read_differently(twice)
    keep = twice.store.keep_label

    def keep_then_eve(image_id: str, *arguments: Any, **options: Any) -> Any:
        kept = keep(image_id, *arguments, **options)
        twice.store.keep_label = keep
        twice.send(image, "eve", drawn=BOX)
        return kept

    twice.store.keep_label = keep_then_eve
    line = f"image '{image}': its label has changed since you opened it: look at it again"
    assert twice.post("adjudicate", image=image, take="second", status=409) == line
    assert (twice.state(image), twice.learnt(), to_decide(twice)) == ("finished", [], [image])


def test_a_third_persons_label_settles_nothing_until_it_is_approved(twice: Ward) -> None:
    image = read_differently(twice)
    twice.send(image, "eve", drawn=BOTH)
    assert twice.ledger.current_annotation(image).annotator == "eve"
    assert (twice.learnt(), to_decide(twice)) == ([], [image])
    taken = twice.post("review")["review"]
    assert (taken["image"], taken["annotator"], taken["readings"]) == (image, "eve", None)
    line = f"image '{image}' has a newer label than its two readings: approve that one, or return it"
    assert twice.post("adjudicate", image=image, take="first", status=409) == line
    twice.send(image, "ann", drawn=BOX)  # one of two readers: never in place of what another has drawn
    assert twice.ledger.current_annotation(image).annotator == "eve"
    twice.post("release")
    for reader in ("ann", "bob"):
        line = f"image '{image}' was read by you: somebody else has to decide between the readings"
        assert twice.post("approve", reader, image=image, status=409) == line
    twice.post("approve", image=image)
    assert (twice.learnt(), to_decide(twice)) == ([image], [])


def test_with_review_the_version_that_was_approved_is_learnt_from_while_readings_differ_again(
    open_ward: Callable[..., Ward],
) -> None:
    ward = open_ward(readers="2", readers_share="0.25", review="true")
    image = judging(ward)
    ward.ask("ann")
    ward.send(image, "ann")
    ward.ask("bob")
    ward.send(image, "bob", drawn=BOTH)
    ward.post("approve", image=image)  # both agree
    approved = ward.ledger.current_annotation(image)
    ward.send(image, "ann", drawn=BALL)
    assert (ward.state(image), to_decide(ward)) == ("finished", [image])
    assert [label.id for label in usable_annotations(ward.ledger, "validation")] == [approved.id]


def test_a_label_drawn_after_the_first_was_taken_back_is_compared_with_the_second_reading(twice: Ward) -> None:
    image = read_differently(twice)
    twice.store.remove_label(image, "final")
    assert (twice.ledger.readings(), to_decide(twice)) == ([], [])
    twice.send(image, "eve", drawn=BOTH)
    assert compared(twice) == [("ann", "bob", False, False), ("eve", "bob", False, True)]
    assert (twice.learnt(), to_decide(twice)) == ([], [image])


def test_nobody_is_compared_with_themselves(twice: Ward) -> None:
    """Bob draws the case that was taken back after his second reading: somebody else reads it a second time."""
    image = read_differently(twice)
    twice.store.remove_label(image, "final")
    twice.send(image, "bob", drawn=BOTH)
    assert (twice.ledger.readings(), twice.learnt()) == ([], [image])
    assert not twice.may_see(image, "final", EVE)
    assert twice.ask("bob")["id"] != image
    assert twice.ask("eve")["id"] == image
    twice.send(image, "eve", drawn=BALL)
    assert compared(twice)[-1] == ("bob", "eve", False, True)


def test_a_second_reading_that_was_taken_back_and_is_sent_again_is_one_again(twice: Ward) -> None:
    image = read_differently(twice)
    twice.store.remove_label(image, "reading_2")
    assert (twice.ledger.readings(), twice.learnt()) == ([], [image])
    twice.send(image, "bob", drawn=BOX)
    assert twice.ledger.current_annotation(image).annotator == "ann"
    assert compared(twice)[-1] == ("ann", "bob", False, True)


def test_a_late_second_reading_does_not_make_a_reader_of_before_replace_the_first(twice: Ward) -> None:
    """Bob's query has expired when he sends; eve has read the case meanwhile, and sends hers again."""
    image = judging(twice)
    twice.ask("bob")
    granted = twice.ledger.active_lease("bob").granted_at
    twice.ledger._clock = lambda: granted + timedelta(days=2)
    assert twice.ask("eve")["id"] == image
    twice.send(image, "eve", drawn=BALL)
    twice.send(image, "bob", drawn=BOTH)
    twice.send(image, "eve", drawn=BOX)
    assert twice.ledger.current_annotation(image).annotator == "ann"
    assert compared(twice)[-1] == ("ann", "eve", False, True)


def test_readings_that_come_at_the_same_moment_are_compared_with_each_other(twice: Ward) -> None:
    """Bob's second reading is recorded while ann's new version is about to be: hers is compared with his."""
    image = judging(twice)
    twice.ask("bob")
    read, came = twice.ledger.case_history, []

    def bob_then(image_id: str) -> CaseHistory:
        case = read(image_id)
        if not came:
            came.append(True)
            twice.send(image, "bob", drawn=BALL)
        return case

    twice.ledger.case_history = bob_then
    twice.send(image, "ann", drawn=BOX)
    assert compared(twice)[-1] == ("ann", "bob", False, True)
    assert (twice.ledger.current_annotation(image).version, to_decide(twice)) == (2, [image])


def test_nobody_waits_while_a_reading_is_compared(twice: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    image = read_differently(twice)
    archive, read, written = open_archive(twice.project), HistoryReader.read, []

    def meanwhile(reader: HistoryReader, annotation: Annotation, grid: Grid) -> LabelArray:
        other = threading.Thread(target=archive.write_records, args=(image,), daemon=True)
        other.start()
        other.join(120)
        written.append(not other.is_alive())
        return read(reader, annotation, grid)

    monkeypatch.setattr(HistoryReader, "read", meanwhile)
    twice.send(image, "ann", drawn=BOX)
    assert written == [True]
    assert compared(twice)[-1] == ("ann", "bob", False, True)


def test_what_a_reviewer_takes_while_its_reader_sends_theirs_again_stays(twice: Ward) -> None:
    """Ann's new version is about to be recorded as the final label when a reviewer takes the first reading, hers."""
    image = read_differently(twice)
    read, decided = twice.ledger.case_history, []

    def take_first_then(image_id: str) -> CaseHistory:
        case = read(image_id)
        if not decided:
            decided.append(True)
            twice.post("adjudicate", image=image, take="first")
        return case

    twice.ledger.case_history = take_first_then
    twice.send(image, "ann", drawn=BOX)
    final = twice.ledger.current_annotation(image)
    assert (final.annotator, final.version, twice.state(image)) == ("ann", 1, "approved")
    assert twice.ledger.current_annotation(image, "reading_2").annotator == "ann"


def test_a_first_drawing_that_clients_would_open_is_hidden_from_the_second_reader(
    open_ward: Callable[..., Ward],
) -> None:
    """Ann's draft was shown with the image, and so is the label that she made of it."""
    ward = open_ward(readers="2", readers_share="0.25")
    image = judging(ward)
    ward.send(image, finished=False)
    ward.send(image, finished=True)
    assert np.array_equal(ward.shown(image), BOTH)
    assert ward.ask("bob")["id"] == image
    assert "original" not in ward.store.get_labels_by_image_id(image)
    assert not (ward.studies / "labels" / "original" / f"{image}.nii.gz").exists()
    ward.send(image, "bob", drawn=BALL, finished=False)  # bob's own draft is his to open
    assert ward.ask("bob")["draft"]["version"] == 2
    assert np.array_equal(ward.shown(image), BALL)
    assert ward.post("finish", "bob", image=image)["message"].startswith("kept as a second reading")


def test_a_second_reading_is_kept_even_if_the_first_cannot_be_read(twice: Ward) -> None:
    image = judging(twice)
    twice.ask("bob")
    (twice.project.labels_folder / twice.ledger.current_annotation(image).file).write_bytes(b"damaged")
    assert twice.send(image, "bob", drawn=BALL)["state"] == "finished"
    assert twice.ledger.current_annotation(image, "reading_2").annotator == "bob"
    assert twice.ledger.readings() == []


def test_readings_that_differ_are_not_learnt_from_until_a_third_person_has_decided(twice: Ward) -> None:
    image = judging(twice)
    twice.ask("bob")
    twice.send(image, "bob", drawn=BALL)  # without the box
    assert twice.learnt() == []
    assert twice.cases.cases()["readings"]["to_decide"] == [image]
    (case,) = twice.client.get("/activelabel/worklist", params={"state": "finished"}).json()["cases"]
    assert (case["image"], case["note"]) == (image, "two readings differ: ball Dice 1.00, 0.0 mm apart; box Dice 0.00")
    other = next(name for name in NAMES if name != image)
    twice.send(other, "eve")
    taken = twice.post("review")["review"]
    assert taken["image"] == image  # before what has merely waited
    agreement = "ball Dice 1.00, 0.0 mm apart; box Dice 0.00"
    assert taken["readings"] == {"first": "ann", "second": "bob", "agreement": agreement}
    twice.post("release")
    line = f"image '{image}' was read by you: somebody else has to decide between the readings"
    assert twice.post("adjudicate", "bob", image=image, take="first", status=409) == line
    assert twice.post("approve", "bob", image=image, status=409) == line
    assert twice.post("review", "bob")["review"]["image"] == other
    twice.post("release", "bob")
    decided = twice.post("adjudicate", image=image, take="second", difficulty="hard")
    assert (decided["state"], decided["review"]["note"]) == ("approved", "of two readings: second")
    final = twice.ledger.current_annotation(image)
    assert (final.version, final.annotator) == (2, "bob")
    assert np.array_equal(np.asarray(nibabel.load(twice.store.label_file(image, "final")).dataobj), BALL)
    assert sorted(twice.learnt()) == sorted([image, other])
    waiting = twice.post("review")["review"]
    assert (waiting["image"], waiting["annotator"], waiting["readings"]) == (other, "eve", None)
    line = f"image '{image}' has no two readings about which somebody has to decide"
    assert twice.post("adjudicate", image=image, take="first", status=409) == line


def test_readings_that_differ_are_not_decided_between_by_approving_without_a_word_on_which_counts(twice: Ward) -> None:
    image = read_differently(twice)
    taken = twice.post("review")["review"]
    for said in ({}, {"version": taken["version"]}):
        line = twice.post("approve", image=image, status=409, **said)
        assert line.startswith(f"image '{image}' has two readings that differ, and approving does not say which counts")
        assert all(way in line for way in ("/activelabel/adjudicate", "'reading_2'", "correction", "return"))
    assert (twice.state(image), twice.learnt(), to_decide(twice)) == ("in review", [], [image])
    twice.send(image, "rev", drawn=BOTH)
    assert twice.post("approve", image=image)["state"] == "approved"


@pytest.mark.parametrize("who", ["ann", "bob"])
def test_a_reading_that_comes_while_a_label_is_approved_is_not_passed_over(
    twice: Ward, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    """It comes after all that is looked at before the decision is written, and before that."""
    image = judging(twice)
    twice.ask("bob")
    if who == "ann":  # both agree until she sends hers again
        twice.send(image, "bob", drawn=BOTH)
    before_it_is_decided(twice, monkeypatch, lambda: twice.send(image, who, drawn=BALL))
    line = twice.post("approve", image=image, status=409)
    assert line.startswith(f"image '{image}' has two readings that differ")
    assert (twice.state(image), to_decide(twice)) == ("finished", [image])


def test_a_reading_that_comes_while_the_first_one_is_taken_is_not_passed_over(
    twice: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = read_differently(twice)
    before_it_is_decided(twice, monkeypatch, lambda: twice.send(image, "bob", drawn=BOX))
    line = f"image '{image}': a reading has changed since you opened it: look at both again"
    assert twice.post("adjudicate", image=image, take="first", status=409) == line
    assert (twice.state(image), to_decide(twice)) == ("finished", [image])


def before_it_is_decided(ward: Ward, monkeypatch: pytest.MonkeyPatch, something: Callable[[], object]) -> None:
    """Let something happen right before the next decision is written."""
    decide = type(ward.ledger).decide

    def then_decide(*arguments: Any, **options: Any) -> Review:
        monkeypatch.setattr(type(ward.ledger), "decide", decide)
        something()
        return decide(*arguments, **options)

    monkeypatch.setattr(type(ward.ledger), "decide", then_decide)


@pytest.mark.parametrize(("take", "annotator", "version"), [("first", "ann", 1), ("staple", "rev", 2)])
def test_a_reviewer_takes_the_first_reading_or_one_merged_of_both(
    twice: Ward, take: str, annotator: str, version: int
) -> None:
    image = judging(twice)
    twice.ask("bob")
    twice.send(image, "bob", drawn=BALL)
    assert twice.post("adjudicate", image=image, take=take)["state"] == "approved"
    final = twice.ledger.current_annotation(image)
    assert (final.annotator, final.version, twice.learnt()) == (annotator, version, [image])
    values = np.asarray(nibabel.load(twice.store.label_file(image, "final")).dataobj)
    assert np.array_equal(values == 1, BALL == 1)


@pytest.mark.parametrize("take", ["first", "second", "staple"])
def test_a_reviewer_decides_between_the_readings_that_they_have_before_them(twice: Ward, take: str) -> None:
    image = judging(twice)
    twice.ask("bob")
    twice.send(image, "bob", drawn=BALL)
    assert twice.post("review")["review"]["image"] == image
    assert twice.post("adjudicate", image=image, take=take)["state"] == "approved"
    assert twice.post("review")["review"] is None


def test_a_reviewer_corrects_the_label_that_they_have_before_them_and_approves_it(ward: Ward) -> None:
    image = NAMES[0]
    ward.send(image)
    assert ward.post("review")["review"]["version"] == 1
    assert ward.send(image, "rev", drawn=BALL)["state"] == "finished"
    assert ward.post("approve", image=image)["state"] == "approved"
    final = ward.ledger.current_annotation(image)
    assert (final.annotator, final.version) == ("rev", 2)


def test_the_audit_trail_tells_the_story_of_a_case_that_two_have_read(open_ward: Callable[..., Ward]) -> None:
    ward = open_ward(readers="2", readers_share="0.25", review="true")
    image = judging(ward)
    for _ in NAMES:
        ward.send(ward.ask("ann")["id"], "ann")
    assert ward.ask("ann") == {}
    assert ward.ask("bob")["id"] == image
    ward.send(image, "bob", drawn=BALL)
    assert ward.ask("bob") == {}
    assert ward.post("review")["review"]["image"] == image
    ward.post("adjudicate", image=image, take="second")
    others = [one for one in NAMES if one != image]
    ward.post("return", image=others[0], note="the ball is cut")
    ward.post("approve", image=others[1])
    assert sorted(ward.learnt()) == sorted([image, others[1]])
    again = ward.ask("ann")
    assert (again["id"], "the ball is cut" in again["reason"]) == (others[0], True)
    rows = [row for row in csv.DictReader(audit_table(ward.project).splitlines()) if row["image"] == image]
    assert [(row["event"], row["who"]) for row in rows if row["event"] != "image"] == [
        ("asked", "ann"), ("label", "ann"), ("asked", "bob"), ("second reading", "bob"), ("compared", ""),
        ("taken for review", "rev"), ("review ended", "rev"), ("label", "bob"), ("approved", "rev"),
    ]  # fmt: skip


def test_nothing_changes_when_another_reviewer_has_the_readings_before_them(twice: Ward) -> None:
    image = judging(twice)
    twice.ask("bob")
    twice.send(image, "bob", drawn=BALL)
    twice.post("review", "other reviewer")
    line = twice.post("adjudicate", image=image, take="second", status=409)
    assert line == f"image '{image}' is being reviewed by somebody else: wait until they have decided"
    final = twice.ledger.current_annotation(image)
    assert (final.annotator, final.version) == ("ann", 1)


def test_a_second_reading_may_be_skipped_and_another_annotator_gets_it(twice: Ward) -> None:
    image = judging(twice)
    twice.ask("bob")
    assert twice.post("skip", "bob")["state"] == "finished"
    assert twice.ask("bob")["id"] != image
    assert twice.ask("eve")["id"] == image


def test_with_one_reader_nothing_is_read_twice(ward: Ward) -> None:
    image = judging(ward)
    ward.send(image)
    assert all(ward.ask(name)["id"] != image for name in ("bob", "eve", "cy"))


# Slicer's module MONAI Label Reviewer


def test_the_reviewer_module_takes_the_second_reading_by_approving_it(twice: Ward) -> None:
    image = judging(twice)
    twice.ask("bob")
    twice.send(image, "bob", drawn=BALL)
    twice.reviewer_module(image, tag="reading_2", status="approved")
    assert (twice.state(image), twice.ledger.current_annotation(image).annotator) == ("approved", "rev")
    assert twice.learnt() == [image]


def test_the_reviewer_module_takes_the_first_reading_by_approving_the_final_label(twice: Ward) -> None:
    """It shows each reading as a version, and no line of an answer: its user would not hear of a refusal."""
    image = read_differently(twice)
    twice.reviewer_module(image, status="approved")
    assert (twice.state(image), twice.learnt(), to_decide(twice)) == ("approved", [image], [])
    assert twice.ledger.current_annotation(image).annotator == "ann"


def test_a_reader_does_not_take_their_own_reading_by_the_reviewer_module(twice: Ward) -> None:
    image = read_differently(twice)
    before = twice.ledger.current_annotation(image)
    answer = twice.client.put(
        "/datastore/updatelabelinfo",
        params={"label": image, "tag": "reading_2"},
        data={"params": json.dumps({"segmentationMeta": {"status": "approved", "approvedBy": "bob"}})},
    )
    line = f"image '{image}' was read by you: somebody else has to decide between the readings"
    assert (answer.status_code, answer.json()["detail"]) == (409, line)
    assert twice.ledger.current_annotation(image) == before


def test_the_reviewer_module_approves_and_flags(ward: Ward) -> None:
    first, second = NAMES[:2]
    ward.send(first)
    ward.send(second)
    ward.reviewer_module(first, status="approved", level="easy")
    ward.reviewer_module(second, status="flagged", comment="the box\nis too small")
    assert (ward.state(first), ward.state(second)) == ("approved", "returned")
    assert ward.learnt() == [first]
    reviews = ward.ledger.standing_decisions()
    assert (reviews[first].reviewer, reviews[first].difficulty, reviews[first].note) == ("rev", "easy", "")
    assert (reviews[second].reviewer, reviews[second].note) == ("rev", "the box is too small")
    ward.reviewer_module(first, status="segmented", comment="thanks")  # decides nothing
    assert ward.state(first) == "approved"


def test_a_comment_of_the_reviewer_module_is_kept_without_characters_that_cannot_be_printed(ward: Ward) -> None:
    """PostgreSQL refuses a text with NUL."""
    ward.send(NAMES[0])
    ward.reviewer_module(NAMES[0], status="flagged", comment="the box\x00is\u202e too\r\nsmall")
    assert ward.ledger.standing_decisions()[NAMES[0]].note == "the box is too small"


def test_the_reviewer_module_shows_what_was_decided_in_another_client(ward: Ward) -> None:
    ward.send(NAMES[0])
    ward.post("approve", image=NAMES[0], difficulty="medium")
    meta = ward.listed(NAMES[0])["segmentationMeta"]
    assert (meta["status"], meta["approvedBy"], meta["level"]) == ("approved", "rev", "medium")
    ward.send(NAMES[0], "bob", drawn=BALL)
    assert "segmentationMeta" not in ward.listed(NAMES[0])


def test_a_correction_that_the_reviewer_module_approves_becomes_the_final_label(ward: Ward) -> None:
    """The module flags, saves an edit as `version_1`, approves that, and sends what it knew of `final` once more."""
    ward.send(NAMES[0], drawn=BOX)
    ward.reviewer_module(NAMES[0], status="flagged", comment="the ball is missing")
    ward.send(NAMES[0], "", drawn=BOTH, tag="version_1", segmentationMeta={"status": "", "approvedBy": "rev"})
    assert ward.state(NAMES[0]) == "returned"
    ward.reviewer_module(NAMES[0], tag="version_1", status="approved")
    ward.reviewer_module(NAMES[0], status="flagged", comment="the ball is missing")
    assert ward.state(NAMES[0]) == "approved"
    final = ward.ledger.current_annotation(NAMES[0])
    assert (final.version, final.annotator, final.slices) == (2, "rev", None)
    assert final.sha256 == ward.ledger.current_annotation(NAMES[0], "version_1").sha256
    assert ward.listed(NAMES[0], "version_1")["segmentationMeta"]["status"] == "approved"
    ward.reviewer_module(NAMES[0], tag="version_1", status="flagged", comment="not this either")
    assert ward.state(NAMES[0]) == "returned"


def test_what_the_reviewer_module_may_not_say_is_refused_and_nothing_changes(ward: Ward) -> None:
    ward.send(NAMES[0], "rev")
    answer = ward.client.put(
        "/datastore/updatelabelinfo",
        params={"label": NAMES[0], "tag": "final"},
        data={"params": json.dumps({"segmentationMeta": {"status": "approved", "approvedBy": "rev"}})},
    )
    assert (answer.status_code, "drawn by you alone" in answer.json()["detail"]) == (409, True)
    assert "segmentationMeta" not in ward.listed(NAMES[0])
    for meta in ("approved", {"status": ["approved"]}):
        answer = ward.client.put(
            "/datastore/updatelabelinfo",
            params={"label": NAMES[0], "tag": "final"},
            data={"params": json.dumps({"segmentationMeta": meta})},
        )
        assert (answer.status_code, answer.json()["detail"].split(":")[0]) == (422, "segmentationMeta")


def test_an_annotator_who_is_no_reviewer_cannot_send_a_decision_with_a_label(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activelabel.server.login.roles.asking", ContextVar("asking", default=ANN))
    meta = {"segmentationMeta": {"status": "approved", "approvedBy": "ann"}}
    answer = ward.send(NAMES[0], tag="version_1", status=403, **meta)
    assert answer["detail"].endswith("takes the role reviewer, and ann is annotator")
    assert ward.ledger.current_annotation(NAMES[0], "version_1") is None


ROUTES = {
    CaseEvent.ASK: "POST /activelearning/{strategy}",
    CaseEvent.LET_GO: "POST /activelabel/release",
    CaseEvent.KEEP_DRAFT: "PUT /activelabel/draft",
    CaseEvent.FINISH_PART: "PUT /datastore/label",
    CaseEvent.FINISH: "POST /activelabel/finish",
    CaseEvent.SKIP: "POST /activelabel/skip",
    CaseEvent.SET_ASIDE: "POST /activelabel/skip",
    CaseEvent.BRING_BACK: "POST /activelabel/bring-back",
    CaseEvent.TAKE_BACK: "DELETE /datastore/label",
    CaseEvent.READ_AGAIN: "POST /activelearning/{strategy}",
    CaseEvent.FINISH_AGAIN: "PUT /datastore/label",
    CaseEvent.TAKE_FOR_REVIEW: "POST /activelabel/review",
    CaseEvent.APPROVE: "POST /activelabel/approve",
    CaseEvent.RETURN: "POST /activelabel/return",
}
"""The route by which each event comes about; a review ends by the route that takes no role, or by time."""


def test_the_roles_of_the_state_machine_are_those_of_the_routes() -> None:
    assert set(CaseEvent) - set(ROUTES) == {CaseEvent.END_REVIEW}
    assert {event: LEAST[route].word for event, route in ROUTES.items()} == {
        event: MOVES[event].least for event in ROUTES
    }


class OfTheModule(Connection):
    """The connection of our module for 3D Slicer, whose requests go to the routes of a ward."""

    def __init__(self, ward: Ward) -> None:
        super().__init__("http://127.0.0.1:8000", "rev")
        self._ward = ward

    def _open(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        seconds: float,
        *,
        as_nobody: bool = False,
    ) -> Any:
        assert not as_nobody
        answer = self._ward.client.request(method, path, content=body, headers=dict(headers))
        if not answer.is_success:
            raise RefusedError(answer.status_code, answer.json()["detail"])
        received = Message()
        for name, value in answer.headers.items():
            received[name] = value
        content = io.BytesIO(answer.content)
        content.headers = received  # type: ignore[attr-defined]
        return content


@pytest.mark.parametrize("take", ["second", "staple"])
def test_our_module_for_slicer_shows_both_readings_and_decides(twice: Ward, take: str, tmp_path: Path) -> None:
    image = judging(twice)
    twice.ask("bob")
    twice.send(image, "bob", drawn=BALL)
    server = Server(OfTheModule(twice))
    review = server.review()
    assert review is not None
    assert review.image == image
    assert review.readings == Readings("ann", "bob", "ball Dice 1.00, 0.0 mm apart; box Dice 0.00")
    first, second = (server.label_file(image, tag, tmp_path / tag) for tag in (FINAL, SECOND_READING))
    assert first is not None
    assert second is not None
    assert np.array_equal(np.asarray(nibabel.load(first).dataobj), BOTH)
    assert np.array_equal(np.asarray(nibabel.load(second).dataobj), BALL)
    server.adjudicate(image, take, "why")
    assert [row.state for row in server.worklist(["approved"]).rows] == ["approved"]
    assert server.worklist().counts["approved"] == 1
    with pytest.raises(RefusedError, match="no two readings"):
        server.adjudicate(image, take, "")
