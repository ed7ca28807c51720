"""Two readers and a reviewer at three clients of one server: only what the reviewer has approved is learnt from."""

import csv
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import requests
from monailabel.client import MONAILabelClient
from running_server import RunningServer

from activelabel.login.passwords import hash_password
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger

pytestmark = pytest.mark.e2e

TINY = Path(__file__).parents[1] / "support" / "tiny.toml"
PASSWORD = "correct horse battery"
ANSWER_SECONDS = 60
PEOPLE = {"ann": "annotator", "bob": "annotator", "rev": "reviewer"}


class Clinic:
    """A server for users, on six tiny images, one of which two annotators read."""

    def __init__(self, make_server: Callable[..., RunningServer], cases: Any, folder: Path) -> None:
        self.cases, self.project = cases, folder / "project"
        self.project.mkdir()
        ledger = Ledger(sqlite_url(self.project / "ledger.sqlite"))
        for name, role in PEOPLE.items():
            ledger.add_user(name, role, hash_password(PASSWORD))
        ledger.close()
        conf = {"readers": 2, "readers_share": 0.1, "review": "true", "finished_by": "saving"}
        self.server = make_server(
            cases.studies, recipe=TINY, labels="ball", device="cpu", project_dir=self.project, **conf
        ).start()

    def stock(self, name: str) -> MONAILabelClient:
        """The host's own client, logged in."""
        client = MONAILabelClient(self.server.address, client_id=name)
        client.update_auth(client.auth_token(name, PASSWORD))
        return client

    def ask(self, client: MONAILabelClient, method: str, path: str, **options: Any) -> requests.Response:
        """A plain request with the token of a client."""
        return requests.request(
            method,
            f"{self.server.address}{path}",
            headers={"Authorization": f"Bearer {client._headers['Authorization'].split()[-1]}"},
            timeout=ANSWER_SECONDS,
            **options,
        )

    def shifted(self, image: str, file: Path) -> Path:
        """The true label of an image, somewhere else."""
        label = nibabel.load(self.cases.label_of(image))
        moved = np.roll(np.asarray(label.dataobj), 5, axis=0)
        nibabel.save(nibabel.Nifti1Image(moved, label.affine), file)
        return file

    def learnt(self) -> dict[str, str]:
        """The image and the label's file of each case from which the first model has learnt."""
        (file,) = self.project.glob("runs/*_model_1/cases.json")
        return {case["image_id"]: case["label"] for case in json.loads(file.read_text(encoding="utf-8"))}

    def audit_trail(self, out: Path) -> list[dict[str, str]]:
        """Export the data set on the command line, and return its audit trail."""
        conf = {**self.server.conf}
        options = [part for key, value in conf.items() for part in ("--conf", f"{key}={value}")]
        command = [sys.executable, "-m", "activelabel", "export", "--studies", str(self.cases.studies), *options]
        subprocess.run([*command, "--out", str(out)], check=True, capture_output=True, env=os.environ)
        with next(out.rglob("audit*.csv")).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture
def clinic(make_server: Callable[..., RunningServer], blobs: Callable[[int], Any], tmp_path: Path) -> Clinic:
    return Clinic(make_server, blobs(6), tmp_path)


class Listener:
    """Hears the events of the server in a thread, until its stream ends."""

    def __init__(self, response: requests.Response) -> None:
        self.heard: list[tuple[str, Any]] = []
        self._response = response
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self) -> None:
        kind = ""
        for line in self._lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                self.heard.append((kind, json.loads(line.removeprefix("data: "))))

    def _lines(self) -> Iterator[str]:
        with self._response, suppress(requests.exceptions.ChunkedEncodingError):  # a server that is killed at the end
            yield from self._response.iter_lines(chunk_size=1, decode_unicode=True)

    def states_of(self, image: str) -> list[str]:
        return [data["state"] for kind, data in list(self.heard) if kind == "case" and data["image"] == image]


def test_two_read_blind_and_a_reviewer_decides_what_is_learnt_from(clinic: Clinic, tmp_path: Path) -> None:
    ann, bob, rev = (clinic.stock(name) for name in PEOPLE)
    listener = Listener(clinic.ask(rev, "GET", "/activelabel/events", stream=True))
    drawn = []
    while sample := ann.next_sample("random", {}):
        drawn.append(sample["id"])
        ann.save_label(sample["id"], str(clinic.cases.label_of(sample["id"])))
    assert len(set(drawn)) == len(drawn) == 6

    # Blind double reading, and a disagreement
    second = bob.next_sample("random", {})
    twice = second["id"]
    assert (second["strategy"], "original" in bob.datastore()["objects"][twice]["labels"]) == ("second_reading", False)
    final = f"/datastore/label?label={twice}&tag=final"
    assert clinic.ask(bob, "GET", final).status_code == 403
    assert clinic.ask(ann, "GET", final).ok
    answer = bob.save_label(twice, str(clinic.shifted(twice, tmp_path / "bobs.nii.gz")))
    assert answer["message"].startswith("kept as a second reading")
    assert clinic.ask(bob, "GET", final).ok
    assert bob.next_sample("random", {}) == {}

    # Adjudication, approvals and a return
    assert clinic.ask(bob, "POST", "/activelabel/approve", json={"image": drawn[0]}).status_code == 403
    assert clinic.ask(rev, "POST", "/activelabel/review", json={}).json()["review"]["image"] == twice
    decided = clinic.ask(rev, "POST", "/activelabel/adjudicate", json={"image": twice, "take": "second"}).json()
    assert (decided["state"], decided["review"]["reviewer"]) == ("approved", "rev")
    waiting = clinic.ask(rev, "GET", "/activelabel/worklist", params={"state": "finished"}).json()["cases"]
    training = [case["image"] for case in waiting if case["role"] == "training"]
    assert len(training) == 5
    note = "the ball is cut"
    assert clinic.ask(rev, "POST", "/activelabel/return", json={"image": training[0], "note": note}).ok
    progress = clinic.ask(rev, "GET", "/activelabel/progress").json()
    assert (progress["labels"]["training"], progress["training"]["running"]) == (0, False)
    for image in training[1:3]:
        assert clinic.ask(rev, "POST", "/activelabel/approve", json={"image": image}).json()["state"] == "approved"

    # Only what was approved is learnt from
    def has_model() -> bool:
        return clinic.ask(rev, "GET", "/activelabel/progress").json()["newest_model"] == 1

    clinic.server.wait_for(has_model, "the first model", every=1.0)
    clinic.server.wait_for(lambda: any(clinic.project.glob("runs/*_model_1")), "its run to be put away")
    learnt = clinic.learnt()
    assert learnt.keys() == {twice, *training[1:3]}
    kept = np.asarray(nibabel.load(learnt[twice]).dataobj)
    np.testing.assert_array_equal(kept, np.asarray(nibabel.load(tmp_path / "bobs.nii.gz").dataobj))
    clinic.server.wait_for(lambda: "model" in [kind for kind, _ in listener.heard], "the event of the model")
    assert listener.states_of(twice)[-1] == "approved"
    assert listener.states_of(training[0])[-1] == "returned"

    # The returned case comes back to its annotator, over which the model's uncertainty can be shown
    again = ann.next_sample("random", {})
    assert (again["id"], note in again["reason"]) == (training[0], True)
    shown = clinic.ask(ann, "GET", "/activelabel/uncertainty", params={"image": training[0]})
    assert (shown.status_code, shown.headers["X-Activelabel-Model"]) == (200, "1")
    (tmp_path / "shown.nii.gz").write_bytes(shown.content)
    shown_map = nibabel.load(tmp_path / "shown.nii.gz")
    image = nibabel.load(clinic.cases.studies / f"{again['id']}.nii.gz")
    assert (shown_map.get_data_dtype(), shown_map.shape) == (np.float32, image.shape)
    np.testing.assert_allclose(shown_map.affine, image.affine)

    # The audit trail tells the story
    rows = clinic.audit_trail(tmp_path / "export")
    told = [row for row in rows if row["image"] == twice and row["event"] not in ("image", "file", "fact")]
    story = [(row["event"], row["who"]) for row in told]
    assert story == [
        ("asked", "ann"), ("label", "ann"), ("asked", "bob"), ("second reading", "bob"), ("compared", ""),
        ("taken for review", "rev"), ("review ended", "rev"), ("label", "bob"), ("approved", "rev"),
    ]  # fmt: skip
    exported = {row["image"]: row["who"] for row in rows if row["exported"] == "yes"}
    assert exported == {twice: "bob", **dict.fromkeys(training[1:3], "ann")}
    (returned,) = [row for row in rows if row["event"] == "returned"]
    assert (returned["image"], returned["who"], returned["note"]) == (training[0], "rev", note)

    # A stream that somebody listens to does not keep the server from ending
    assert clinic.server.stop() == 0
    listener.thread.join(120)
    assert not listener.thread.is_alive()
