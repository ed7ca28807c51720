"""A project in a folder apart from its images writes nothing beside them, and everything works."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from small_studies import AFFINE_RAS, TINY_RECIPE, boxes, write_image, write_nifti

from activelabel.cli.doctor.command import examine
from activelabel.errors import ForbiddenError
from activelabel.project.opening import open_project
from activelabel.project.project import Project
from activelabel.project.serving import open_served_project
from activelabel.server.datastores.folder import LedgerDatastore
from activelabel.server.opening import open_datastore

CONF = {"labels": "ball,box", "recipe": str(TINY_RECIPE), "device": "cpu"}


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    folder = tmp_path / "studies"
    (folder / "deep").mkdir(parents=True)
    for name in ("a", "b", "deep/c"):
        write_image(folder / f"{name}.nii.gz")
    return folder


def everything(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return every file and folder with its inode number and its times of change."""
    found = [folder, *folder.rglob("*")]
    status = {str(path.relative_to(folder)): path.stat() for path in found}
    return {name: (one.st_ino, one.st_mtime_ns, one.st_ctime_ns) for name, one in status.items()}


@pytest.fixture
def open_store(studies: Path, tmp_path: Path) -> Iterator[Callable[..., tuple[Project, LedgerDatastore]]]:
    opened = []

    def open_(**conf: str) -> tuple[Project, LedgerDatastore]:
        project = open_project("", str(studies), {**CONF, "project_dir": str(tmp_path / "project"), **conf})
        opened.append(open_datastore(project, str(studies), follow_changes=True))
        return project, opened[-1]

    yield open_
    for store in opened:
        store.close()


def send(store: LedgerDatastore, image_id: str, *values: int, **info: Any) -> None:
    folder = Path(store._datastore_path)
    file = write_nifti(folder / "sent.nii.gz", boxes(*values), AFFINE_RAS)
    store.keep_label(image_id, str(file), "final", {"client_id": "ann", "finished": True, "confirmed": True, **info})


def test_a_project_kept_elsewhere_writes_nothing_beside_the_images(
    studies: Path, tmp_path: Path, open_store: Callable[..., Any]
) -> None:
    before = everything(studies)
    project, store = open_store()

    assert store.list_images() == ["a", "b", "deep~c"]
    send(store, "a", 1, 2)
    send(store, "deep~c", 1, annotated_slices=[0, 1])
    store.update_image_info("b", {"note": "seen"})
    store.remove_label("deep~c", "final")
    store.refresh()
    store.close()

    assert everything(studies) == before
    view = tmp_path / "project" / "view"
    assert (view / "datastore_v2.json").is_file()
    assert [path.name for path in (view / "labels" / "final").iterdir()] == ["a.nii.gz"]
    assert store.label_file("a", "final").is_relative_to(project.labels_folder)
    assert Path(store.get_label_uri("a", "final")) == view / "labels" / "final" / "a.nii.gz"
    assert [item["image"] for item in store.datalist()] == [str(studies / "a.nii.gz")]


def test_the_next_start_of_a_project_kept_elsewhere_knows_its_labels(
    studies: Path, open_store: Callable[..., Any]
) -> None:
    project, store = open_store()
    send(store, "a", 1, 2)
    store.close()
    before = project.ledger.history("a")
    _, again = open_store()
    assert again.get_label_by_image_id("a", "final") == "a"
    assert again.get_image_info("a")["path"] == str(studies / "a.nii.gz")
    assert project.ledger.history("a") == before


def test_a_project_beside_its_images_is_as_it_was(studies: Path) -> None:
    project = open_project("", str(studies), CONF)
    assert project.view_folder == studies
    inside = open_project("", str(studies), {**CONF, "project_dir": str(studies / "kept" / "here")})
    assert inside.view_folder == studies


def test_labels_that_lie_beside_the_images_are_taken_in_once(
    studies: Path, open_store: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A label that was taken back is not taken in again, although its file stays in place."""
    (studies / "labels" / "final").mkdir(parents=True)
    write_nifti(studies / "labels" / "final" / "a.nii.gz", boxes(1, 2), AFFINE_RAS)
    before = everything(studies)
    project, store = open_store()
    assert [item.annotator for item in project.ledger.history("a") if item.tag == "final"] == ["found in labels/final"]
    store.remove_label("a", "final")
    for _ in range(2):
        store.refresh()
    assert project.ledger.current_annotation("a") is None
    assert everything(studies) == before


def test_the_slices_that_another_projects_listing_gives_for_a_label_count(
    studies: Path, open_store: Callable[..., Any]
) -> None:
    """Slices that were not annotated must not count as background."""
    beside = open_project("", str(studies), CONF)
    store = open_datastore(beside, str(studies), follow_changes=True)
    send(store, "a", 1, annotated_slices=[0, 1])
    store.close()
    project, _ = open_store()
    (label,) = project.ledger.annotations()
    assert (label.image_id, label.slices, label.annotator) == ("a", (0, 1), "ann")


def test_a_project_that_wrote_beside_its_images_before_loses_nothing(
    studies: Path, tmp_path: Path, open_store: Callable[..., Any]
) -> None:
    """Servers wrote beside the images before the setting existed that keeps all written files together."""
    conf = {**CONF, "project_dir": str(tmp_path / "project")}
    earlier = open_project("", str(studies), conf)
    from activelabel.annotation.archive import open_archive

    store = LedgerDatastore(
        str(studies), earlier.ledger, open_archive(earlier), validation_cases=2, follow_changes=True
    )
    send(store, "a", 1, 2)
    store.update_image_info("a", {"note": "seen"})
    store.close()
    before, there = earlier.ledger.history("a"), everything(studies)

    project, now = open_store()

    assert project.ledger.history("a") == before
    assert now.get_label_by_image_id("a", "final") == "a"
    assert now.get_image_info("a")["note"] == "seen"
    assert now.passed_over() == []
    now.remove_label("a", "final")
    now.refresh()
    assert project.ledger.current_annotation("a") is None
    assert everything(studies) == there


def test_an_image_cannot_be_taken_out_of_a_folder_that_cannot_be_written(
    studies: Path, open_store: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, store = open_store()
    send(store, "a", 1, 2)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != studies)
    with pytest.raises(ForbiddenError, match=r"^image 'a' cannot be taken out: its folder cannot be written$"):
        store.remove_image("a")
    assert store.get_label_by_image_id("a", "final") == "a", "its labels are where they were"


def test_doctor_looks_where_the_listing_is(studies: Path, tmp_path: Path, open_store: Callable[..., Any]) -> None:
    open_store()[1].close()
    before = everything(studies)
    conf = {**CONF, "project_dir": str(tmp_path / "project")}
    found = {finding.subject: finding for finding in examine("", str(studies), conf)}
    assert found["studies"].text == "3 of 3 images can be read"
    assert everything(studies) == before


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES])
@pytest.mark.parametrize("place", ["claim", "keep_log", "prepare_project", "convert_older_models"])
def test_a_start_on_a_disk_that_cannot_be_written_is_one_line(
    studies: Path, monkeypatch: pytest.MonkeyPatch, number: int, place: str, tmp_path: Path
) -> None:
    from activelabel.errors import ActiveLabelError
    from activelabel.project import serving

    def full(*arguments: object) -> None:
        raise OSError(number, os.strerror(number), "/somewhere/secret")

    monkeypatch.setattr(serving, place, full)
    with pytest.raises(
        ActiveLabelError, match=rf"^the project folder {studies}/activelabel cannot be written \([^\n]+$"
    ):
        open_served_project("", str(studies), CONF, 8000)


def test_a_folder_of_images_that_may_not_be_read_is_not_called_a_full_disk(
    studies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from activelabel.project import serving

    def closed(*arguments: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(studies / "sub"))

    monkeypatch.setattr(serving, "prepare_project", closed)
    with pytest.raises(PermissionError):  # which the app explains as an error of reading
        open_served_project("", str(studies), CONF, 8000)
