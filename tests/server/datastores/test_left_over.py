"""What a killed server has left unfinished is removed at the next start, and nothing else."""

import os
import time
from pathlib import Path

from small_studies import TINY_RECIPE, write_image

from activelabel.project.opening import open_project
from activelabel.project.project import Project
from activelabel.project.serving import SERVER_FILE
from activelabel.server.datastores.left_over import remove_left_over

CLAIMED_AT = time.time() - 60.0


def claimed_project(folder: Path) -> Project:
    (folder / "labels" / "final").mkdir(parents=True)
    write_image(folder / "a.nii.gz")
    project = open_project("", str(folder), {"recipe": str(TINY_RECIPE), "labels": "ball,box", "device": "cpu"})
    (project.folder / SERVER_FILE).touch()
    os.utime(project.folder / SERVER_FILE, (CLAIMED_AT, CLAIMED_AT))
    return project


def write(file: Path, modified_at: float) -> Path:
    file.write_bytes(b"unfinished")
    os.utime(file, (modified_at, modified_at))
    return file


def test_only_unfinished_files_that_nobody_writes_are_removed(tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    project = claimed_project(studies)
    before, after, long_ago = CLAIMED_AT - 1, CLAIMED_AT + 1, 1e9
    gone = [
        write(studies / ".datastore_v2.json.0123abcd.part", before),
        write(project.folder / ".datastore_v2.kept.0123abcd.part", before),
        write(studies / ".b.nii.gz.0123abcd.part", long_ago),
        write(studies / "labels" / "final" / ".b.nii.gz.0123abcd.part", long_ago),
    ]
    stay = [
        write(studies / ".datastore_v2.json.4567cdef.part", after),
        write(studies / ".c.nii.gz.0123abcd.part", before),
        write(studies / ".datastore_v2.json.part", long_ago),
        write(studies / ".datastore_v2.json.0123ABCD.part", long_ago),
        write(studies / "datastore_v2.json.0123abcd.part", long_ago),
        write(studies / ".datastore_v2.json.0123abcd.partial", long_ago),
        studies / "a.nii.gz",
    ]
    remove_left_over(project)
    assert [file for file in gone if file.exists()] == []
    assert [file for file in stay if not file.exists()] == []


def test_labels_behind_a_link_are_left_alone(tmp_path: Path) -> None:
    project = claimed_project(tmp_path / "studies")
    (tmp_path / "elsewhere" / "final").mkdir(parents=True)
    left = write(tmp_path / "elsewhere" / "final" / ".b.nii.gz.0123abcd.part", 1e9)
    (tmp_path / "studies" / "labels" / "final").rmdir()
    (tmp_path / "studies" / "labels").rmdir()
    (tmp_path / "studies" / "labels").symlink_to(tmp_path / "elsewhere")
    remove_left_over(project)
    assert left.exists()
