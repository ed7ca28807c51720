"""A lost ledger without a copy is rebuilt from the label archive, row by row."""

import json
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recorded import record_annotation
from small_studies import AFFINE_RAS, TINY_RECIPE, boxes, write_image, write_nifti
from sqlalchemy import create_engine, text

from activelabel.cli.main import main
from activelabel.project.identity import fixed_identity
from activelabel.project.labels.record_files import read_record, record_file, write_missing_records
from activelabel.project.opening import open_project
from activelabel.project.project import Project
from activelabel.server.opening import open_datastore
from activelabel.store.connection.location import sqlite_url

CONF = {"labels": "ball,box", "recipe": str(TINY_RECIPE), "device": "cpu"}
TABLES = {
    "annotations": "file_size, file_modified_ns, file_changed_ns",
    "drafts": "file_size, file_modified_ns, file_changed_ns",
    "leases": "model_version",
}
"""Those that are compared, and what of them is of a disk or of models."""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project of three annotators with several versions, slices, a draft, a label taken back and an open query."""
    studies = tmp_path / "studies"
    studies.mkdir()
    for number in range(8):
        write_image(studies / f"case{number}.nii.gz", number)
    project = open_project("", str(studies), CONF)
    store = open_datastore(project, str(studies), follow_changes=False)
    ledger = project.ledger
    ledger.sync_images(store.list_images(), 2)
    training = [image.id for image in ledger.images() if image.role == "training"]
    (judge, _) = [image.id for image in ledger.images() if image.role == "validation"]

    def send(image_id: str, annotator: str, *values: int, tag: str = "final", **info: Any) -> None:
        file = write_nifti(tmp_path / "sent.nii.gz", boxes(*values), AFFINE_RAS)
        store.keep_label(image_id, str(file), tag, {"client_id": annotator, "confirmed": True, **info})

    def ask(annotator: str, image_id: str, slices: list[int] | None = None) -> None:
        assert ledger.grant_lease(annotator, image_id, 30, "variance", slices=slices, score=0.25) is not None

    ask("ann", training[0], [0, 1])
    send(training[0], "ann", 1)
    ask("bob", training[0], [2, 3])
    send(training[0], "bob", 0, 2)
    ask("cy", training[1])
    send(training[1], "cy", 1, 2, finished=True)
    send(training[1], "ann", 1, 2, 1, finished=True)
    send(training[2], "bob", 1, 1, finished=True)
    store.remove_label(training[2], "final")
    ask("ann", training[3])
    send(training[3], "ann", 1, finished=False, annotated_slices=[1, 2])
    store.open_for(training[3], "bob")
    send(judge, "ann", 1, 2, finished=True)
    send(judge, "bob", 2, tag="original")
    store.close()
    return project


def rows(project: Project, table: str) -> list[dict[str, Any]]:
    assert project.ledger.file is not None
    engine = create_engine(sqlite_url(project.ledger.file))
    with engine.connect() as connection:
        found = [dict(row) for row in connection.execute(text(f"SELECT * FROM {table}")).mappings()]  # noqa: S608
    engine.dispose()
    left_out = TABLES[table].split(", ")
    kept = [{key: value for key, value in row.items() if key not in left_out} for row in found]
    return sorted(kept, key=lambda row: int(row["id"]))


def lose_ledger(project: Project) -> None:
    project.ledger.close()
    assert project.ledger.file is not None
    for ending in ("", "-wal", "-shm"):
        project.ledger.file.with_name(project.ledger.file.name + ending).unlink(missing_ok=True)


def restored(monkeypatch: pytest.MonkeyPatch, project: Project, *arguments: str) -> int:
    conf = [word for key, value in CONF.items() for word in ("--conf", f"{key}={value}")]
    command = ["activelabel", "restore", "--studies", project.studies, *conf, "--from-archive", *arguments]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_a_rebuilt_ledger_has_every_row_as_it_was(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {table: rows(project, table) for table in TABLES}
    roles = {image.id: (image.role, image.slice_axis, image.slice_count) for image in project.ledger.images()}
    states = project.ledger.progress()
    identity = project.identity
    lose_ledger(project)

    assert restored(monkeypatch, project) == 0

    assert fixed_identity(project.ledger, project.folder) == identity
    printed = capsys.readouterr().out
    assert "images with labels by ann, bob, cy" in printed
    assert "scores, skips" in printed
    for row in (row for row in before["leases"] if row["ended_at"] is None):
        row["ended_at"], row["outcome"] = "now", "released"
    after = {table: rows(project, table) for table in TABLES}
    # No label records a query without an answer, so it is lost; a query that was open is released.
    told = {row["lease_id"] for table in ("annotations", "drafts") for row in before[table]}
    assert [row["id"] for row in after["leases"]] == [row["id"] for row in before["leases"] if row["id"] in told]
    for row in after["leases"]:
        (was,) = [lease for lease in before["leases"] if lease["id"] == row["id"]]
        assert {**row, "ended_at": None} == {**was, "ended_at": None}
    assert after["annotations"] == before["annotations"]
    assert after["drafts"] == before["drafts"]
    assert len(before["annotations"]) > 8
    found = {image.id: (image.role, image.slice_axis, image.slice_count) for image in project.ledger.images()}
    labelled = {row["image_id"] for table in ("annotations", "drafts") for row in before[table]}
    assert {id_: found[id_] for id_ in labelled} == {id_: roles[id_] for id_ in labelled}
    assert found.keys() == roles.keys()
    progress = project.ledger.progress()
    assert (progress.annotated, progress.partly_annotated) == (states.annotated, states.partly_annotated)


def test_the_start_after_a_rebuild_changes_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    lose_ledger(project)
    assert restored(monkeypatch, project) == 0
    before = rows(project, "annotations")
    store = open_datastore(project, project.studies, follow_changes=True)
    store.close()
    assert rows(project, "annotations") == before
    saved = record_annotation(project.ledger, "case0", "later.nii.gz", "0" * 64, "dee")
    assert saved.id > max(row["id"] for row in before)


def test_the_record_of_a_label_says_for_people_what_happened(project: Project) -> None:
    label = next(item for item in project.ledger.annotations("training") if item.annotator == "bob")
    label_record = read_record(project.labels_folder / label.file)
    assert label_record is not None
    assert (label_record["annotator"], label_record["sha256"], label_record["tags"]) == (
        "bob",
        label.sha256,
        ["final", "original"],
    )
    (query,) = label_record["queries"]
    assert (query["slices"], query["strategy"], query["score"]) == ([2, 3], "variance", 0.25)
    final = next(row for row in label_record["annotations"] if row["tag"] == "final")
    assert (final["slices"], final["label_names"]) == ([0, 1, 2, 3], ["ball", "box"])
    assert final["seconds"] == label.seconds is not None
    assert final["created_at"] == label.created_at.isoformat()


def test_records_that_were_not_refreshed_are_completed_by_those_of_later_versions(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state is that of a server killed after the ledger and before the record of the earlier version."""
    before = rows(project, "annotations")
    for file in project.labels_folder.rglob("*.json"):
        record = json.loads(file.read_text(encoding="utf-8"))
        for row in record["annotations"]:
            row["superseded_at"] = None
        file.write_text(json.dumps(record))
    lose_ledger(project)
    assert restored(monkeypatch, project) == 0
    after = rows(project, "annotations")
    final = [[row for row in kept if row["tag"] == "final"] for kept in (before, after)]
    assert final[0] == final[1]


def test_a_label_whose_slices_nobody_knows_any_more_is_not_taken_for_one_of_the_whole_volume(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_datastore(project, project.studies, follow_changes=True)  # which lays the labels into labels/final
    store.close()
    annotated = {label.image_id for label in project.ledger.annotations()}
    for file in (*project.labels_folder.rglob("*.json"), *Path(project.studies).glob("datastore_v2*")):
        file.unlink()
    lose_ledger(project)
    assert restored(monkeypatch, project) == 0

    store = open_datastore(project, project.studies, follow_changes=True)

    assert annotated
    assert project.ledger.annotations() == []
    (line,) = (line for line in store.passed_over() if "nobody knows which slices" in line)
    assert line.startswith(f"{len(annotated)} passed over (labels/final/")
    whole = sorted(annotated)[0]
    final = Path(project.studies) / "labels" / "final"
    (final / f"{whole}.nii.gz").rename(final / f"{whole}_label.nii.gz")
    store.refresh()
    assert [(label.image_id, label.slices) for label in project.ledger.annotations()] == [(whole, None)]
    store.close()


def test_a_project_of_before_there_were_records_is_rebuilt_as_far_as_possible(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = rows(project, "annotations")
    annotated = project.ledger.annotations()
    for file in project.labels_folder.rglob("*.json"):
        file.unlink()
    # Whose listing names the slices and the annotator.
    store = open_datastore(project, project.studies, follow_changes=True)
    store.close()
    lose_ledger(project)

    assert restored(monkeypatch, project) == 0

    assert "have no record beside them, as earlier versions wrote none" in capsys.readouterr().out
    history = rows(project, "annotations")
    assert {row["file"] for row in history} == {row["file"] for row in before if row["tag"] != "original" or
                                                "original" in row["file"]}  # fmt: skip
    assert all(row["superseded_at"] is not None and row["annotator"] == "unknown" for row in history)
    made = {row["file"]: datetime.fromisoformat(row["created_at"]) for row in before}
    told = {row["file"]: datetime.fromisoformat(row["created_at"]) for row in history}
    assert all(abs(told[file] - made[file]) < timedelta(minutes=5) for file in told), "as the names of the files say"
    store = open_datastore(project, project.studies, follow_changes=True)
    store.close()
    again = project.ledger.annotations()
    assert [(item.image_id, item.annotator, item.slices) for item in again] == [
        (item.image_id, item.annotator, item.slices) for item in annotated
    ]


def test_records_that_are_missing_are_written_at_the_next_start(project: Project) -> None:
    files = {file: file.read_bytes() for file in project.labels_folder.rglob("*.json")}
    assert len(files) == len(list(project.labels_folder.rglob("*.nii.gz")))
    for file in files:
        file.unlink()
    assert write_missing_records(project.ledger, project.labels_folder) > 0
    assert {file: file.read_bytes() for file in project.labels_folder.rglob("*.json")} == files
    assert write_missing_records(project.ledger, project.labels_folder) == 0


def earlier(content: bytes) -> bytes:
    return json.dumps({**json.loads(content), "reviews": [{"outcome": None}]}).encode()


@pytest.mark.parametrize(
    "cut",
    [lambda _: b"", lambda content: content[:40], lambda content: bytes(len(content)), earlier],
    ids=["nothing", "a beginning", "zeros", "the one before"],
)
def test_a_record_that_a_power_cut_has_changed_is_written_anew(project: Project, cut: Callable[[bytes], bytes]) -> None:
    files = {file: file.read_bytes() for file in project.labels_folder.rglob("*.json")}
    for file, content in files.items():
        file.write_bytes(cut(content))
    assert write_missing_records(project.ledger, project.labels_folder) > 0
    assert {file: file.read_bytes() for file in files} == files


def test_a_record_that_cannot_be_written_keeps_no_other_from_being_written(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    files = {file: file.read_bytes() for file in sorted(project.labels_folder.rglob("*.json"))}
    for file in files:
        file.unlink()
    refused, *others = files
    refused.mkdir()  # so that no file can be put there
    with pytest.raises(OSError, match=refused.name):
        write_missing_records(project.ledger, project.labels_folder)
    assert write_missing_records(project.ledger, project.labels_folder, each_alone=True) > 0
    assert {file: file.read_bytes() for file in others} == {file: files[file] for file in others}
    assert f"{refused} cannot be written, and is tried at the next start: " in caplog.text


@pytest.mark.parametrize("is_listed", [True, False], ids=["listed", "not listed"])
def test_the_newest_label_whose_record_is_lost_with_the_ledger_counts_as_it_was_listed(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_listed: bool
) -> None:
    if is_listed:
        store = open_datastore(project, project.studies, follow_changes=True)
        store.close()
    before = project.ledger.annotations()
    history = [row for label in before for row in project.ledger.history(label.image_id) if row.tag == "final"]
    again = [label for label in before if label.version == 2]
    assert [(label.annotator, label.slices) for label in again] == [("bob", (0, 1, 2, 3)), ("ann", None)]
    for label in again:
        record_file(project.labels_folder / label.file).unlink()
    for label in history:  # and those of the versions before are as they were
        file = record_file(project.labels_folder / label.file)
        if file.exists():
            record = json.loads(file.read_text(encoding="utf-8"))
            rows_before = [{**row, "superseded_at": None} for row in record["annotations"]]
            file.write_text(json.dumps({**record, "annotations": rows_before}))
    lose_ledger(project)

    assert restored(monkeypatch, project) == 0

    line = "it is taken in again at the next start" if is_listed else "nobody knows its slices, so that it does not"
    assert capsys.readouterr().out.count(line) == 2
    if is_listed:
        store = open_datastore(project, project.studies, follow_changes=True)
        store.close()
    expected = before if is_listed else [
        next(row for row in history if (row.image_id, row.version) == (label.image_id, 1)) for label in before
    ]  # fmt: skip
    after = project.ledger.annotations()
    assert [(label.image_id, label.annotator, label.slices) for label in after] == [
        (label.image_id, label.annotator, label.slices) for label in expected
    ]


def test_a_changed_label_and_a_damaged_record_are_named(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = sorted(project.labels_folder.rglob("*.nii.gz"))
    labels[0].write_bytes(b"x")
    labels[1].unlink()
    record_file(labels[2]).write_text("{")
    lose_ledger(project)
    assert restored(monkeypatch, project) == 0
    printed = capsys.readouterr().out
    assert f"{labels[0].name}: the file has changed since it was kept" in printed
    assert f"{labels[1].name}: the file is gone" in printed
    assert f"{labels[2].name}: the record beside it is damaged" in printed


@pytest.mark.parametrize("cut", [lambda _: b"", lambda content: content[:-9]], ids=["empty", "cut short"])
def test_a_newest_label_that_a_power_cut_took_with_its_record_and_the_ledger_is_named_and_passed_over(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    cut: Callable[[bytes], bytes],
) -> None:
    store = open_datastore(project, project.studies, follow_changes=True)
    store.close()
    before = project.ledger.annotations()
    newest = next(label for label in before if label.annotator == "bob")
    label = project.labels_folder / newest.file
    shown = Path(project.studies) / "labels" / "final" / f"{newest.image_id}.nii.gz"
    record_file(label).unlink()
    for file in (label, shown):
        file.write_bytes(cut(file.read_bytes()))
    lose_ledger(project)

    assert restored(monkeypatch, project) == 0

    (line,) = (line for line in capsys.readouterr().out.splitlines() if label.name in line)
    assert line.startswith(f"{newest.file}: it has no record, and is passed over: {label.name}: ")
    store = open_datastore(project, project.studies, follow_changes=True)
    store.close()
    assert newest.file not in project.ledger.label_files()
    assert [label.file for label in project.ledger.annotations()] == [label.file for label in before if label != newest]


def contradict(row: dict[str, Any]) -> None:
    row["id"] = 1


def cut(row: dict[str, Any]) -> None:
    row["created_at"] = None


@pytest.mark.parametrize("change", [contradict, cut, lambda row: row.update(created_at="yesterday"), dict.clear])
def test_records_that_cannot_be_true_are_one_line_and_change_nothing(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[dict[str, Any]], None],
) -> None:
    for file in project.labels_folder.rglob("*.json"):
        record = json.loads(file.read_text(encoding="utf-8"))
        for row in record["annotations"]:
            change(row)
        file.write_text(json.dumps(record))
    lose_ledger(project)
    assert restored(monkeypatch, project) == 2
    printed = " ".join(capsys.readouterr().err.split())
    assert "the records beside the labels contradict each other, or lack something" in printed
    assert project.ledger.file is not None
    assert not project.ledger.file.exists()
    assert not list(project.folder.glob(".rebuilt*"))


def test_a_whole_ledger_is_not_thrown_away_and_nothing_is_rebuilt_of_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert restored(monkeypatch, project) == 2
    assert "it is there and whole" in " ".join(capsys.readouterr().err.split())
    other = open_project("", str(tmp_path), CONF)
    lose_ledger(other)
    assert restored(monkeypatch, other) == 2
    assert "there is no label to rebuild" in " ".join(capsys.readouterr().err.split())


def test_a_damaged_ledger_is_moved_aside(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    lose_ledger(project)
    assert project.ledger.file is not None
    project.ledger.file.write_bytes(b"no database at all, and long enough to be looked at as one " * 99)
    assert restored(monkeypatch, project) == 0
    assert len(list(project.folder.glob("ledger.sqlite.replaced-*"))) == 1
    assert np.sum([bool(image.present) for image in project.ledger.images()]) == 8
