"""Only one server serves a project, and its ledger exists before it serves."""

import errno
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from activelabel.acquisition.selection import shuffled
from activelabel.errors import InvalidInputError, NotReadyError
from activelabel.project.opening import make_folder, open_project, plan_project
from activelabel.project.project import Project
from activelabel.project.serving import (
    SERVER_FILE,
    check_ledger_is_there,
    claim,
    disk_errors_explained,
    open_served_project,
)
from activelabel.store.cases.new_annotation import NewAnnotation, Unsynced

CLAIM = """
import sys
from activelabel.project.opening import make_folder, plan_project
from activelabel.project.serving import claim
project = plan_project("", sys.argv[1], {"labels": "liver"})
make_folder(project)
claim(project, 8123)
print("claimed", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = plan_project("", str(tmp_path), {"labels": "liver"})
    make_folder(project)
    return project


def test_a_second_server_is_refused_by_process_and_port_until_the_first_is_gone(
    project: Project, tmp_path: Path
) -> None:
    first = subprocess.Popen(
        [sys.executable, "-c", CLAIM, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    )
    assert first.stdout is not None
    assert first.stdout.readline() == "claimed\n"
    with pytest.raises(NotReadyError, match=f"in use by process {first.pid}, which serves it at port 8123: stop"):
        claim(project, 8000)
    first.kill()
    first.communicate()
    claim(project, 8000)
    assert json.loads((project.folder / SERVER_FILE).read_text(encoding="utf-8")) == {"pid": os.getpid(), "port": 8000}


def test_a_new_project_has_no_ledger_yet(project: Project, tmp_path: Path) -> None:
    check_ledger_is_there(project, str(tmp_path))


@pytest.mark.parametrize("left", ["labels/case0/final-1.nii.gz", "models/1.pt"])
def test_a_project_whose_ledger_is_gone_is_not_begun_anew(project: Project, tmp_path: Path, left: str) -> None:
    file = project.folder / left
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x")
    with pytest.raises(
        InvalidInputError, match=r"ledger\.sqlite is gone, while (labels|models) of the project"
    ) as refusal:
        check_ledger_is_there(project, str(tmp_path))
    assert f"activelabel restore --studies {tmp_path}" in str(refusal.value)
    opened = open_project("", str(tmp_path), {"labels": "liver"})  # Restoring does the same.
    check_ledger_is_there(opened, str(tmp_path))


def test_a_project_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    project = plan_project("", str(tmp_path), {"labels": "liver", "project_dir": "/proc/self/activelabel"})
    with pytest.raises(InvalidInputError, match=r"the project folder /proc/.* cannot be made"):
        make_folder(project)


def test_labels_beside_the_images_that_cannot_be_written_are_named_and_an_image_that_cannot_be_read_is_another_matter(
    project: Project, tmp_path: Path
) -> None:
    labels, image = str(tmp_path / "labels" / "original"), str(tmp_path / "a.nii.gz")
    for number, place in ((errno.EROFS, labels), (errno.EACCES, labels), (errno.ENOSPC, image)):
        expected = f"^{place} cannot be written .*: mend that, or name a folder for the project that is not beside"
        with pytest.raises(InvalidInputError, match=expected), disk_errors_explained(project):
            raise OSError(number, os.strerror(number), place)
    with pytest.raises(PermissionError), disk_errors_explained(project):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), image)


def test_only_a_server_brings_the_random_order_to_its_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(role: str) -> None:
        raise AssertionError(f"the whole pool of {role} images is read")

    names, conf = [f"case {number}" for number in range(30)], {"labels": "liver", "modality": "CT"}
    first = open_project("", str(tmp_path), conf)
    first.ledger.sync_images(names, 0)
    other = open_project("", str(tmp_path), {**conf, "seed": "5"})
    assert [*other.ledger.training_pool_at_random()] == shuffled(names, 5)
    monkeypatch.setattr(first.ledger, "pool", refuse)
    assert [*first.ledger.training_pool_at_random()] == shuffled(names, 0), "the other opening has changed nothing"

    served = open_served_project("", str(tmp_path), {**conf, "seed": "5"}, 8000)
    monkeypatch.setattr(served.ledger, "pool", refuse)
    assert [*served.ledger.training_pool_at_random()] == shuffled(names, 5)


def test_a_server_that_starts_writes_the_labels_that_a_power_cut_has_taken(tmp_path: Path) -> None:
    conf = {"labels": "liver", "modality": "CT"}
    project = open_project("", str(tmp_path), conf)
    project.ledger.sync_images(["a"], 0)
    sha256 = hashlib.sha256(b"content").hexdigest()
    project.ledger.keep_label(NewAnnotation("a", "a/label.nii.gz", sha256, "ann", unsynced=Unsynced(b"content")))
    served = open_served_project("", str(tmp_path), conf, 8000)
    assert (served.labels_folder / "a" / "label.nii.gz").read_bytes() == b"content"
    assert served.ledger.label_contents() == {}
