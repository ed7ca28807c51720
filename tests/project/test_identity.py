"""What tells a project from all others."""

import errno
from pathlib import Path

import pytest
from small_studies import TINY_RECIPE, write_image
from sqlalchemy import create_engine, text

from activelabel.project import identity as module
from activelabel.project.identity import FILE
from activelabel.project.opening import open_project
from activelabel.project.project import Project
from activelabel.store.connection.location import sqlite_url


def opened(folder: Path) -> Project:
    """Open the project of a folder."""
    (folder / "studies").mkdir(parents=True, exist_ok=True)
    write_image(folder / "studies" / "case_0.nii.gz")
    return open_project(str(folder), str(folder / "studies"), {"recipe": str(TINY_RECIPE), "labels": "ball"})


def identity(folder: Path) -> str:
    """Open the project of a folder, and return its identity."""
    return opened(folder).identity


def test_a_project_keeps_its_identity_wherever_its_folder_lies_and_no_other_has_it(tmp_path: Path) -> None:
    first = identity(tmp_path / "one")
    assert len(first) == 16
    assert identity(tmp_path / "one") == first
    (tmp_path / "one").rename(tmp_path / "moved")
    assert identity(tmp_path / "moved") == first
    assert identity(tmp_path / "two") != first


def test_a_copy_of_the_ledger_from_before_projects_had_an_identity_is_the_same_project(tmp_path: Path) -> None:
    project = opened(tmp_path)
    project.ledger.sync_images(["case_0"], 0)
    before = project.identity
    project.ledger.close()
    assert project.ledger.file is not None
    engine = create_engine(sqlite_url(project.ledger.file))
    with engine.begin() as connection:
        assert connection.execute(text("DELETE FROM facts WHERE name = 'identity'")).rowcount == 1
    engine.dispose()
    assert identity(tmp_path) == before


def test_a_new_ledger_in_the_folder_of_an_older_project_is_another_project(tmp_path: Path) -> None:
    project = opened(tmp_path)
    before = project.identity
    project.ledger.close()
    assert project.ledger.file is not None
    project.ledger.file.unlink()
    now = opened(tmp_path)
    assert now.identity != before
    assert (now.folder / FILE).read_text(encoding="utf-8") == f"{now.identity}\n"


def test_a_folder_that_cannot_be_written_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(module, "write_atomically", refuse)
    first = identity(tmp_path)
    assert identity(tmp_path) == first, "the ledger has it"
    assert "identity cannot be written ([Errno 13] Permission denied)" in caplog.text


@pytest.mark.parametrize("content", [None, "", "no identity", "0123456789abcdef"])
def test_the_ledger_decides_and_the_file_in_the_folder_is_written_anew(tmp_path: Path, content: str | None) -> None:
    project = opened(tmp_path)
    file = project.folder / FILE
    assert file.read_text(encoding="utf-8") == f"{project.identity}\n"
    file.unlink()
    if content is not None:
        file.write_text(content, encoding="utf-8")
    assert identity(tmp_path) == project.identity
    assert file.read_text(encoding="utf-8") == f"{project.identity}\n"
