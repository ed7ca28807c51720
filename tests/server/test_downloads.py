"""A downloaded file is complete even if it is replaced meanwhile, and lies in the project or its studies."""

import hashlib
import itertools
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from datastore_client import client_of, following_datastore
from fastapi.testclient import TestClient
from small_studies import AFFINE_RAS, SHAPE, TINY_RECIPE, boxes, write_image, write_nifti

from activelabel.data.files.writing import write_atomically
from activelabel.errors import InvalidInputError
from activelabel.project.opening import open_project
from activelabel.server.datastores.folder import LedgerDatastore
from activelabel.server.opening import open_datastore

CONF = {"labels": "ball,box", "recipe": str(TINY_RECIPE), "device": "cpu"}
DOWNLOADS = 300


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    folder = tmp_path / "studies"
    folder.mkdir()
    for name in ("a", "b", "c"):
        write_image(folder / f"{name}.nii.gz")
    return folder


@pytest.fixture
def store(studies: Path) -> Iterator[LedgerDatastore]:
    with following_datastore(open_project("", str(studies), CONF)) as store:
        yield store


@pytest.fixture
def http(store: LedgerDatastore, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    return client_of(store, monkeypatch)


def send(store: LedgerDatastore, folder: Path, label: Any, image_id: str = "a") -> None:
    file = write_nifti(folder / "sent.nii.gz", label, AFFINE_RAS)
    store.keep_label(image_id, str(file), "final", {"client_id": "ann", "finished": True, "confirmed": True})


def test_a_label_is_whole_while_it_is_saved(store: LedgerDatastore, http: TestClient, tmp_path: Path) -> None:
    """Labels of very different sizes take turns, so that a cut label or a wrong length would be noticed."""
    small, large = boxes(1), np.random.default_rng(0).integers(0, 3, SHAPE).astype(np.uint8)
    send(store, tmp_path, small)
    ended = threading.Event()

    def save() -> None:
        while not ended.is_set():
            for label in (large, small):
                send(store, tmp_path, label)

    saving = threading.Thread(target=save)
    saving.start()
    try:
        seen = set()
        until = time.monotonic() + 120
        for number in itertools.count():
            if number >= DOWNLOADS and (len(seen) == 2 or time.monotonic() > until):
                break
            answer = http.get("/datastore/label?label=a&tag=final")
            assert answer.status_code == 200
            assert int(answer.headers["content-length"]) == len(answer.content)
            seen.add(hashlib.sha256(answer.content).hexdigest())
            file = tmp_path / f"{number % 2}.nii.gz"
            file.write_bytes(answer.content)
            array = np.asarray(nibabel.load(file).dataobj)
            assert np.array_equal(array, small) or np.array_equal(array, large)
    finally:
        ended.set()
        saving.join()
    assert len(seen) == 2, "both were downloaded"


def test_an_image_that_is_replaced_while_it_is_sent_is_the_one_or_the_other(
    store: LedgerDatastore, http: TestClient, studies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, file = (studies / "b.nii.gz").read_bytes(), studies / "b.nii.gz"
    measured = os.fstat

    def replaced_in_between(number: int) -> os.stat_result:
        monkeypatch.undo()  # once: what is written is measured, too
        found = measured(number)
        write_atomically(file, b"something shorter")
        return found

    monkeypatch.setattr(os, "fstat", replaced_in_between)
    answer = http.get("/datastore/image?image=b")
    assert file.read_bytes() == b"something shorter"
    assert answer.content == before
    assert answer.headers["content-disposition"] == 'attachment; filename="b.nii.gz"'


def test_a_label_that_has_changed_on_disk_is_not_sent(store: LedgerDatastore, http: TestClient, tmp_path: Path) -> None:
    send(store, tmp_path, boxes(1, 2))
    store.label_file("a", "final").write_bytes(b"x")
    answer = http.get("/datastore/label?label=a&tag=final")
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("a: the file of its label (version 1, by ann) has changed on disk")


# Links


def secret_of(tmp_path: Path) -> Path:
    """Write an image outside of the studies."""
    (tmp_path / "elsewhere").mkdir(exist_ok=True)
    return write_image(tmp_path / "elsewhere" / "secret.nii.gz", seed=7)


def test_an_image_that_became_a_link_out_of_the_studies_is_not_read_or_sent(
    store: LedgerDatastore, http: TestClient, studies: Path, tmp_path: Path
) -> None:
    secret, file = secret_of(tmp_path), studies / "b.nii.gz"
    store._observer.stop()  # the server has not noticed yet
    store._observer.join()
    file.unlink()
    file.symlink_to(secret)
    answer = http.get("/datastore/image?image=b")
    assert answer.status_code == 422
    assert "b.nii.gz: a link that leads out of the studies folder" in answer.json()["detail"]
    with pytest.raises(InvalidInputError, match="links_out_of_studies"):
        store.get_image_uri("b")
    store.refresh()
    assert store.list_images() == ["a", "c"]
    assert store.passed_over() == [
        "1 passed over (b.nii.gz): a link that leads out of the studies folder: put the file itself there, or allow "
        "such links with --conf links_out_of_studies true"
    ]


def test_a_folder_of_an_image_that_became_a_link_is_not_followed(
    store: LedgerDatastore, studies: Path, tmp_path: Path
) -> None:
    (studies / "deep").mkdir()
    write_image(studies / "deep" / "secret.nii.gz")
    store.refresh()
    assert "deep~secret" in store.list_images()
    (studies / "deep" / "secret.nii.gz").unlink()
    (studies / "deep").rmdir()
    secret_of(tmp_path)
    (studies / "deep").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidInputError, match="links_out_of_studies"):
        store.get_image_uri("deep~secret")


def test_no_label_is_taken_in_or_sent_through_a_link(
    store: LedgerDatastore, http: TestClient, studies: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    other = write_nifti(tmp_path / "elsewhere" / "label.nii.gz", boxes(1, 2), AFFINE_RAS)
    (studies / "labels" / "final" / "b.nii.gz").symlink_to(other)
    store.refresh()
    assert http.get("/datastore/label?label=b&tag=final").status_code == 404
    assert any(line.startswith("1 passed over (labels/final/b.nii.gz): a link") for line in store.passed_over())
    send(store, tmp_path, boxes(1))
    own = studies / "labels" / "final" / "a.nii.gz"
    own.unlink()
    own.symlink_to(other)
    assert http.get("/datastore/label?label=a&tag=final").content != other.read_bytes()
    send(store, tmp_path, boxes(2))
    assert not own.is_symlink()
    assert other.read_bytes() != own.read_bytes(), "nothing is written through it either"


@pytest.mark.parametrize("below", ["labels", "labels/final"])
def test_a_folder_of_labels_that_leads_out_is_refused_in_one_line(studies: Path, tmp_path: Path, below: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (studies / below).parent.mkdir(exist_ok=True)
    (studies / below).symlink_to(tmp_path / "elsewhere")
    project = open_project("", str(studies), CONF)
    with pytest.raises(InvalidInputError, match=r"^(labels|final): a link that leads out of [^\n]+$"):
        open_datastore(project, str(studies), follow_changes=False)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_links_are_followed_where_the_setting_allows_it(studies: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    linked.mkdir()
    for name in ("a", "b"):
        (linked / f"{name}.nii.gz").symlink_to(studies / f"{name}.nii.gz")
    for allowed, found in (("false", []), ("true", ["a", "b"])):
        project = open_project("", str(linked), {**CONF, "links_out_of_studies": allowed, "modality": "CT"})
        store = open_datastore(project, str(linked), follow_changes=False)
        assert store.list_images() == found
    assert store.get_image_uri("a") == str(linked / "a.nii.gz")


def test_a_studies_folder_that_is_a_link_is_served(studies: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(studies)
    project = open_project("", str(tmp_path / "link"), CONF)
    store = open_datastore(project, str(tmp_path / "link"), follow_changes=False)
    assert store.list_images() == ["a", "b", "c"]
    assert Path(store.get_image_uri("a")).samefile(studies / "a.nii.gz")
    project.ledger.sync_images(store.list_images(), 0)
    send(store, tmp_path, boxes(1))
    assert (studies / "labels" / "final" / "a.nii.gz").is_file()
