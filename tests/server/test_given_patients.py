"""A live project whose patients the settings say."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from activelabel.data.patients.by_name import BY_NAMES
from activelabel.errors import InvalidInputError
from activelabel.project.given.patients import FACT, patients_with_two_roles
from activelabel.project.opening import open_project
from activelabel.project.project import Project
from activelabel.project.rebuilding import rebuild_ledger
from activelabel.server.opening import open_datastore
from activelabel.simulation.local_app import LocalApp
from activelabel.store.ledger import Ledger


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    folder = tmp_path / "studies"
    folder.mkdir()
    put(folder, *(f"p{number // 4}_{number % 4}" for number in range(16)))
    return folder


def put(folder: Path, *names: str) -> None:
    for name in names:
        nibabel.save(nibabel.Nifti1Image(np.ones((6, 6, 6), np.int16), np.eye(4)), folder / f"{name}.nii.gz")


def opened(studies: Path, **conf: str) -> Project:
    conf = {"labels": "liver", "patients": r"^(p\d)_", "project_dir": str(studies.parent / "project"), **conf}
    return open_project("", str(studies), conf, environment={})


def patients_of_role(project: Project, role: str) -> set[str]:
    return {image.id.partition("_")[0] for image in project.ledger.images() if image.role == role}


def test_a_project_draws_whole_patients_and_later_images_follow_their_patient(studies: Path) -> None:
    project = opened(studies)
    store = open_datastore(project, str(studies), follow_changes=True)
    (judge,) = patients_of_role(project, "validation")
    assert patients_of_role(project, "training") == {"p0", "p1", "p2", "p3"} - {judge}
    put(studies, f"{judge}_late", "nobody")
    store.refresh()
    assert project.ledger.image(f"{judge}_late").role == "validation"
    assert "nobody" not in store.list_images(), "it may be anybody's"
    assert any("nobody.nii.gz" in line and "says no patient for it" in line for line in store.passed_over())
    assert project.ledger.effort(store.patients()).patients == 0


def test_a_new_project_draws_whole_patients_by_the_names_of_common_data_sets(tmp_path: Path) -> None:
    folder = tmp_path / "studies"
    folder.mkdir()
    put(folder, *(f"patient{number // 4:03}_frame{number % 4:02}" for number in range(16)))
    project = opened(folder, patients="")
    store = open_datastore(project, str(folder), follow_changes=True)
    (judge,) = patients_of_role(project, "validation")
    assert len(patients_of_role(project, "training") - {judge}) == 3
    assert patients_with_two_roles(project.ledger, {}) == {}
    put(folder, f"{judge}_frame11", "patient007_frame01", "nobody")
    store.refresh()
    assert project.ledger.image(f"{judge}_frame11").role == "validation"
    assert project.ledger.image("nobody").patient is None
    assert {"nobody", "patient007_frame01"} <= set(store.list_images())


def test_what_tells_patients_is_among_the_settings_in_force(
    studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(place: str, **conf: str) -> object:
        project = opened(studies, **conf, project_dir=str(tmp_path / place))
        open_datastore(project, str(studies), follow_changes=True)
        return project.settings_in_force()["patients"]

    assert told("new", patients="") == "names", "as the ledger says"
    assert told("new", patients="") == "names", "also at a later start"
    assert told("given") == r"^(p\d)_"
    assert told("given", patients="") == "images", "left out later: the project did not begin by names"
    monkeypatch.setattr("activelabel.project.given.patients.BY_NAMES", r"(p\d)")
    assert told("new", patients="") == BY_NAMES, "of another version than this"


def test_patients_of_no_image_and_patients_that_come_too_late_are_refused(studies: Path) -> None:
    with pytest.raises(InvalidInputError, match="of no image, of which the first is 'p0_0'"):
        open_datastore(opened(studies, patients="(x)"), str(studies), follow_changes=True)
    project = opened(studies, patients=r"(p\d_\d)")
    open_datastore(project, str(studies), follow_changes=True)
    with pytest.raises(InvalidInputError, match=r"patient 'p\d' has images for"):
        open_datastore(opened(studies), str(studies), follow_changes=False)


@pytest.mark.parametrize(
    "wrong", [r"(pat", "nowhere.csv", r"(x)"], ids=["no pattern", "no table", "a pattern that fits no image"]
)
def test_a_first_start_with_wrong_patients_leaves_nothing_behind(tmp_path: Path, wrong: str) -> None:
    folder = tmp_path / "studies"
    folder.mkdir()
    put(folder, *(f"patient{number // 4:03}_frame{number % 4:02}" for number in range(16)))
    before = sorted(folder.rglob("*"))
    with pytest.raises(InvalidInputError, match="--conf patients"):
        open_datastore(opened(folder, patients=wrong), str(folder), follow_changes=True)
    assert sorted(folder.rglob("*")) == before
    project = opened(folder, patients="")
    assert project.ledger.fact(FACT) is None
    open_datastore(project, str(folder), follow_changes=True)
    assert len(patients_of_role(project, "validation")) == 1
    assert patients_with_two_roles(project.ledger, {}) == {}
    assert {image.patient for image in project.ledger.images()} == {f"patient{number:03}" for number in range(4)}


def test_a_refused_start_makes_no_folders_of_labels_in_the_studies(studies: Path) -> None:
    project = open_project("", str(studies), {"labels": "liver", "patients": "(x)"}, environment={})
    with pytest.raises(InvalidInputError, match="of no image"):
        open_datastore(project, str(studies), follow_changes=True)
    assert not (studies / "labels").exists()
    assert not (project.view_folder / "labels").exists()


def test_a_project_begins_with_its_first_image_and_the_setting_of_that_start(studies: Path) -> None:
    empty = studies.parent / "empty"
    empty.mkdir()
    project = opened(empty)
    store = open_datastore(project, str(empty), follow_changes=True)
    assert project.ledger.fact(FACT) is None
    put(empty, "p0_0", "p0_1")
    store.refresh()
    fact = project.ledger.fact(FACT)
    assert fact is not None
    assert (fact.value, fact.reason) == ("", "the project began with --conf patients")


def test_a_split_that_shares_a_patient_is_refused_before_anything_is_written(studies: Path, tmp_path: Path) -> None:
    (tmp_path / "split.txt").write_text("p0_0 train\np0_1 val\n")
    project = opened(studies, splits=str(tmp_path / "split.txt"))
    with pytest.raises(InvalidInputError, match=r"patient 'p0' is for training \('p0_0'\) and validation \('p0_1'\)"):
        open_datastore(project, str(studies), follow_changes=True)
    assert project.ledger.images() == []


def test_a_simulated_app_and_a_rebuilt_ledger_draw_by_patients_too(studies: Path) -> None:
    project = opened(studies)
    LocalApp(studies, {**project.settings.model_dump(include={"patients"}), "labels": "liver"}, "oracle")
    beside = open_project("", str(studies), {"labels": "liver"}, environment={})
    assert len(patients_of_role(beside, "validation")) == 1
    open_datastore(project, str(studies), follow_changes=True)
    before = {image.id: (image.role, image.patient) for image in project.ledger.images()}
    (project.labels_folder / "p0_0").mkdir(parents=True)
    put(project.labels_folder / "p0_0", f"final-{10**18}")  # a label of an earlier version, without a record
    project.ledger.close()
    assert project.ledger.file is not None
    project.ledger.file.unlink()
    rebuild_ledger(project)
    again = opened(studies)
    assert {image.id: (image.role, image.patient) for image in again.ledger.images()} == before
    assert patients_with_two_roles(again.ledger, {}) == {}


@pytest.mark.parametrize(("patients", "tells"), [("images", False), (r"^(p\d)_", True)])
def test_rows_of_known_images_are_looked_at_only_if_something_tells_patients(
    studies: Path, monkeypatch: pytest.MonkeyPatch, patients: str, tells: bool
) -> None:
    given, sync = list[object](), Ledger.sync_images

    def note(ledger: Ledger, ids: Iterable[str], cases: int, told: Mapping[str, str] | None, *more: Any) -> None:
        given.append(told)
        sync(ledger, ids, cases, told, *more)

    monkeypatch.setattr(Ledger, "sync_images", note)
    open_datastore(opened(studies, patients=patients), str(studies), follow_changes=True)
    assert given
    assert all((told is not None) is tells for told in given)
