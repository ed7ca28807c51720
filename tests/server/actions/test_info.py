"""The answer of `GET /info/`: computed once for each event of any source, and never older than the last event."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from small_studies import TINY_RECIPE, boxes, write_image, write_model, write_nifti

from activelabel.errors import UnavailableError
from activelabel.loop.autopilot import Autopilot
from activelabel.loop.due import Situation, Work, read_situation
from activelabel.loop.training.stats import write_stats
from activelabel.project.opening import open_project
from activelabel.server.actions.application import Application
from activelabel.server.opening import open_datastore
from activelabel.server.project_tasks import build_tasks

NAMES = [f"case_{number}" for number in range(5)]
LEASE_MINUTES = 5

# Later than any change of the image, which a look into the folder would otherwise take for mended.
SET_ASIDE = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as ledger:
    reason = "unreadable_reason = 'cut off', unreadable_at = '2099-01-01 12:00:00.000000'"
    ledger.execute(f"update images set {reason} where id = 'case_4'")
"""


class Tasks:
    """Background tasks that start no process."""

    running = False

    def busy(self) -> bool:
        return self.running

    def start(self, work: Work) -> None:
        raise AssertionError(f"{work} was started")


class App(Application):
    """A project on a folder of five images as a server opens it, and the actions of annotators and others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
        self.background = Tasks()
        studies = folder / "studies"
        conf = {"recipe": str(TINY_RECIPE), "labels": "ball,box", "device": "cpu", "finished_by": "saving"}
        project = open_project(str(folder), str(studies), {**conf, "lease_minutes": str(LEASE_MINUTES)})
        project.ledger._clock = lambda: self.now

        def look_up() -> Situation:
            return read_situation(project, "variance")

        datastore = open_datastore(project, str(studies), follow_changes=True)
        autopilot = Autopilot(look_up, self.background, project.thresholds)
        super().__init__(project, str(studies), datastore, build_tasks(project), autopilot)

    def ask(self) -> str:
        return str(self.cases.next_sample({"client_id": "ann", "strategy": "random"})["id"])

    def save_label(self) -> None:
        file = write_nifti(self.folder / "sent.nii.gz", boxes(1, 2))
        self.datastore.save_label("case_0", str(file), "final", {"client_id": "ann"})

    def take_label_back(self) -> None:
        self.datastore.remove_label("case_0", "final")

    def skip(self) -> None:
        self.cases.skip_case({"client_id": "ann", "reason": "later"}, "case_1")

    def let_lease_expire(self) -> None:
        self.now += timedelta(minutes=LEASE_MINUTES, seconds=1)

    def publish_model(self) -> None:
        self.models.adopt(write_model(self.folder / "sent.safetensors", ("ball", "box")))

    def withdraw_model(self) -> None:
        self.models.withdraw()

    def finish_an_epoch(self) -> None:
        write_stats(self.project.folder / "train_stats.json", {"epoch": 3, "total_epochs": 9})

    def start_training(self) -> None:
        self.background.running = True

    def let_another_process_set_an_image_aside(self) -> None:
        subprocess.run([sys.executable, "-I", "-c", SET_ASIDE, self.project.ledger.file], check=True)

    def add_image(self) -> None:
        self.datastore.add_image("sent", str(write_image(self.folder / "new.nii.gz")), {})

    def put_image_into_folder(self) -> None:
        write_image(self.folder / "studies" / "put.nii.gz")
        self.datastore.refresh()

    def put_something_else_into_folder(self) -> None:
        (self.folder / "studies" / "slide.tiff").touch()
        self.datastore.refresh()


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    (tmp_path / "studies").mkdir()
    for number, name in enumerate(NAMES):
        write_image(tmp_path / "studies" / f"{name}.nii.gz", number)
    app = App(tmp_path)
    yield app
    app.datastore.close()


def poll(app: App) -> dict[str, Any]:
    """Return the info that a polling client reads."""
    for _ in range(5):
        app.info.read()
        answer = app.info.as_json()
    return dict(json.loads(answer))


EVENTS: list[tuple[Callable[[App], object], Callable[[dict[str, Any]], object], object]] = [
    (App.ask, lambda info: info["progress"]["leased"], 1),
    (App.let_lease_expire, lambda info: info["progress"]["leased"], 0),
    (App.save_label, lambda info: (info["progress"]["annotated"], info["datastore"]["completed"]), (1, 1)),
    (App.take_label_back, lambda info: (info["progress"]["annotated"], info["datastore"]["completed"]), (0, 0)),
    (App.skip, lambda info: [case["id"] for case in info["cases"]["not_now"]], ["case_1"]),
    (App.publish_model, lambda info: info["progress"]["model_in_use"], 1),
    (App.withdraw_model, lambda info: info["progress"]["model_in_use"], None),
    (App.finish_an_epoch, lambda info: info["train_stats"]["segmentation"]["epoch"], 3),
    (App.start_training, lambda info: info["autopilot"]["waits_for"], "A training or a scoring is under way."),
    (App.let_another_process_set_an_image_aside, lambda info: info["set_aside"], {"case_4": "cut off"}),
    (App.add_image, lambda info: info["datastore"]["total"], 6),
    (App.put_image_into_folder, lambda info: (info["datastore"]["total"], info["progress"]["images"]), (7, 7)),
    (App.put_something_else_into_folder, lambda info: bool(info["passed_over"]), True),
]


def test_info_is_computed_once_for_each_event_and_shows_it(app: App) -> None:
    poll(app)
    for event, told, expected in EVENTS:
        before = app.info.computations
        event(app)
        assert told(poll(app)) == expected, event.__name__
        assert app.info.computations == before + 1, event.__name__


def test_the_worth_of_uncertainty_is_shown_under_its_earlier_name_too(app: App) -> None:
    info = poll(app)
    assert info["uncertainty"] == info["doubt"]
    assert info["uncertainty"]["trusted"] is True


def test_requests_and_looks_into_an_unchanged_folder_do_not_recompute_info(app: App) -> None:
    first = poll(app)
    app.datastore.refresh()
    assert app.autopilot is not None
    assert app.autopilot.look() is None
    assert poll(app) == first
    assert app.info.computations == 1


def test_an_event_during_the_computation_of_info_is_in_the_next_answer(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = app.info._compute

    def compute_late() -> dict[str, Any]:
        info = compute()
        monkeypatch.undo()
        app.save_label()
        return info

    monkeypatch.setattr(app.info, "_compute", compute_late)
    assert app.info.read()["progress"]["annotated"] == 0
    assert app.info.read()["progress"]["annotated"] == 1


def test_a_poll_reads_no_image_and_no_label_of_the_datastore(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    poll(app)
    for question in ("status", "patients", "list_images", "get_labeled_images", "passed_over"):
        monkeypatch.setattr(app.datastore, question, lambda: pytest.fail("asked again"))
    poll(app)


def test_info_reports_a_missing_ledger_instead_of_its_cached_answer(app: App) -> None:
    poll(app)
    file = app.project.ledger.file
    assert file is not None
    aside = file.rename(file.with_name("aside.sqlite"))
    with pytest.raises(UnavailableError, match="the ledger was removed or replaced"):
        app.info.as_json()
    aside.rename(file)
    assert poll(app)["progress"]["images"] == len(NAMES)
