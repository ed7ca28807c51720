"""The witness of `benchmarks/faults/run.py` detects each fault that it counts: otherwise its 0 would mean nothing."""

import hashlib
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
from monailabel.client.client import MONAILabelClientException
from monailabel.interfaces.exception import MONAILabelError
from recorded import record_annotation

from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger
from benchmarks.faults.annotators import (
    AFFINE,
    KeptFiles,
    Record,
    digest_of,
    drawing,
    lost_labels,
    make_studies,
    status_of,
)
from benchmarks.faults.run import Row, table

IMAGE = "case_0003"


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    folder = tmp_path / "labels"
    folder.mkdir()
    return folder


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = Ledger(sqlite_url(tmp_path / "ledger.sqlite"))
    made.sync_images([IMAGE], 0)
    return made


def keep(ledger: Ledger, labels: Path, voxels: np.ndarray, annotator: str = "ann") -> Path:
    """Keep a label as the server does."""
    file = labels / f"{digest_of(voxels)[:8]}.nii.gz"
    nibabel.save(nibabel.Nifti1Image(voxels.astype(np.uint16), AFFINE), file)
    record_annotation(ledger, IMAGE, file.name, hashlib.sha256(file.read_bytes()).hexdigest(), annotator)
    return file


def test_the_witness_reports_nothing_lost_while_all_labels_and_files_are_there(ledger: Ledger, labels: Path) -> None:
    record = Record()
    keep(ledger, labels, drawing(3))
    record.kept(IMAGE, "ann", digest_of(drawing(3)))
    assert lost_labels(record, ledger, labels) == []


def test_a_label_that_the_ledger_has_not_is_lost(ledger: Ledger, labels: Path) -> None:
    record = Record()
    record.kept(IMAGE, "ann", digest_of(drawing(3)))
    assert lost_labels(record, ledger, labels) == [f"{IMAGE} by ann"]


def test_a_label_with_other_voxels_or_of_another_annotator_is_lost(ledger: Ledger, labels: Path) -> None:
    record = Record()
    keep(ledger, labels, drawing(4))
    record.kept(IMAGE, "ann", digest_of(drawing(3)))
    record.kept(IMAGE, "bob", digest_of(drawing(4)))
    assert lost_labels(record, ledger, labels) == [f"{IMAGE} by ann", f"{IMAGE} by bob"]


@pytest.mark.parametrize("done", ["removed", "changed"])
def test_a_file_that_is_gone_or_another_is_lost(ledger: Ledger, labels: Path, done: str) -> None:
    record = Record()
    file = keep(ledger, labels, drawing(3))
    file.unlink() if done == "removed" else file.write_bytes(file.read_bytes()[:-1])
    assert lost_labels(record, ledger, labels) == [f"the file of version 1 of {IMAGE}"]


def test_the_witness_reads_a_file_again_if_it_changed_or_its_memory_was_cleared(ledger: Ledger, labels: Path) -> None:
    record, files = Record(), KeptFiles()
    file = keep(ledger, labels, drawing(3))
    assert lost_labels(record, ledger, labels, files) == []
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    assert lost_labels(record, ledger, labels, files) == [f"the file of version 1 of {IMAGE}"]
    file.write_bytes(whole)
    assert lost_labels(record, ledger, labels, files) == []
    stat = file.stat()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert lost_labels(record, ledger, labels, files) == []
    files.forget()
    assert lost_labels(record, ledger, labels, files) == [f"the file of version 1 of {IMAGE}"]


def test_two_annotators_who_hold_one_image_at_a_time_are_counted_as_a_double(labels: Path) -> None:
    record = Record()
    record.gave(IMAGE, "ann")
    record.gave(IMAGE, "ann")  # the same query again
    assert record.doubles == []
    record.gave(IMAGE, "bob")
    assert record.doubles == [f"{IMAGE} to bob, while ann had it"]


def test_an_image_that_was_skipped_may_be_given_to_another() -> None:
    record = Record()
    record.gave(IMAGE, "ann")
    record.gives_back(IMAGE)
    record.gave(IMAGE, "bob")
    assert record.doubles == []


def test_a_refusal_is_counted_by_its_status_wherever_the_client_keeps_it() -> None:
    in_text = MONAILabelClientException(MONAILabelError.SERVER_ERROR, 'Status: 507; Response: {"detail": "full"}')
    assert status_of(in_text) == "507"
    assert status_of(MONAILabelClientException(MONAILabelError.SERVER_ERROR, "Status: 503", 503, b"")) == "503"
    assert status_of(MONAILabelClientException(MONAILabelError.SERVER_ERROR, "no answer")) == "unknown"


def test_each_numbered_drawing_has_its_own_digest(tmp_path: Path) -> None:
    make_studies(tmp_path / "studies", 3)
    assert len(list((tmp_path / "studies").iterdir())) == 3
    assert len({digest_of(drawing(number)) for number in range(50)}) == 50
    assert digest_of(drawing(7)) == digest_of(drawing(7).astype(np.float32))


def test_the_table_adds_up() -> None:
    rows = [
        Row("kill", "sqlite", 1, 10, 2, 0, 0, {"no answer": 3}, [4.0]),
        Row("kill", "sqlite", 1, 20, 1, 1, 0, {"no answer": 1, "503": 2}, [6.0]),
    ]
    assert table(rows).splitlines()[-1] == "| kill | sqlite | 2 | 30 | 3 | 1 | 0 | 503: 2, no answer: 4 | 5.0 (6.0) |"
