"""A live project whose validation cases people gave."""

from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest

from activelabel.errors import InvalidInputError
from activelabel.project.opening import open_project
from activelabel.project.project import Project
from activelabel.server.opening import open_datastore


def put(folder: Path, *names: str) -> None:
    for name in names:
        nibabel.save(nibabel.Nifti1Image(np.ones((6, 6, 6), np.int16), np.eye(4)), folder / f"{name}.nii.gz")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    studies = tmp_path / "studies"
    studies.mkdir()
    put(studies, *(f"case_{number}" for number in range(8)))
    roles = {"case_1": "validation", "case_5": "validation", "held": "test"}
    lines = [f"case_{number} {roles.get(f'case_{number}', 'training')}\n" for number in range(8)]
    (tmp_path / "split.txt").write_text("".join([*lines, "held test\n"]))
    conf = {"labels": "liver", "splits": str(tmp_path / "split.txt"), "project_dir": str(tmp_path / "project")}
    opened = open_project("", str(studies), conf, environment={})
    yield opened
    opened.ledger.close()


def test_a_project_begins_with_the_given_validation_cases_and_never_sees_a_test_case(project: Project) -> None:
    store = open_datastore(project, project.studies, follow_changes=True)
    roles = {image.id: image.role for image in project.ledger.images()}
    assert sorted(name for name, role in roles.items() if role == "validation") == ["case_1", "case_5"]
    put(Path(project.studies), "held", "later")  # while it runs
    store.refresh()
    assert {image.id for image in project.ledger.images()} == {*roles, "later"}
    with pytest.raises(InvalidInputError, match=r"'held' may only test, and lies with the images"):
        open_datastore(project, project.studies, follow_changes=False)


def test_another_split_after_the_first_start_is_refused(project: Project, tmp_path: Path) -> None:
    open_datastore(project, project.studies, follow_changes=True)
    (tmp_path / "split.txt").write_text("case_1 training\ncase_2 validation\n")
    with pytest.raises(InvalidInputError, match="'case_1', 'case_2' had another role when the project began"):
        open_datastore(project, project.studies, follow_changes=False)
