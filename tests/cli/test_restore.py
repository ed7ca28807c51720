"""`activelabel restore`, as it is typed."""

import sys
from pathlib import Path

import pytest

from activelabel.cli.main import main
from activelabel.project.opening import open_project
from activelabel.project.project import Project
from activelabel.store.copies import copy_ledger, list_copies


def restore(monkeypatch: pytest.MonkeyPatch, studies: Path, *arguments: str) -> int:
    monkeypatch.setattr(
        sys, "argv", ["activelabel", "restore", "--studies", str(studies), "--conf", "labels=liver", *arguments]
    )
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with one image and a copy of its ledger."""
    project = open_project("", str(tmp_path), {"labels": "liver"})
    project.ledger.sync_images(["a"], 0)
    assert project.ledger.file is not None
    copy_ledger(project.ledger.file)
    project.ledger.close()
    return project


def test_the_newest_copy_takes_the_place_of_a_ledger_that_is_gone(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert project.ledger.file is not None
    project.ledger.file.unlink()
    assert restore(monkeypatch, tmp_path) == 0
    assert "it knows 1 images, 0 of them annotated" in capsys.readouterr().out
    assert [image.id for image in open_project("", str(tmp_path), {"labels": "liver"}).ledger.images()] == ["a"]


def test_copies_are_listed_and_a_damaged_one_is_passed_over(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert project.ledger.file is not None
    newest = copy_ledger(project.ledger.file)
    newest.write_bytes(b"no database at all, and long enough to be looked at as one " * 9)
    assert restore(monkeypatch, tmp_path, "--list") == 0
    older_line, newest_line = capsys.readouterr().out.splitlines()
    assert older_line.endswith("whole")
    assert newest_line.endswith("file is not a database")
    assert restore(monkeypatch, tmp_path) == 0
    assert f"the copy {list_copies(project.ledger.file)[0].name} now; what was there is in " in capsys.readouterr().out


def test_without_a_copy_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert restore(monkeypatch, tmp_path) == 2
    assert "there is no whole copy of the ledger" in " ".join(capsys.readouterr().err.split())


def test_copies_of_postgresql_are_made_with_its_own_tools(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert restore(monkeypatch, tmp_path, "--conf", "database_url=postgresql://ann@db.example/study") == 2
    assert "pg_dump" in capsys.readouterr().err


@pytest.mark.parametrize("how", [(), ("--from-archive",), ("--list",)])
def test_a_folder_that_is_not_there_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], how: tuple[str, ...]
) -> None:
    assert restore(monkeypatch, tmp_path / "mistyped", *how) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert ("mistyped: expected a project in " in line) or (not how and "there is no whole copy of the ledger" in line)
    assert list(tmp_path.iterdir()) == []


def test_a_copy_from_elsewhere_begins_a_project_folder_anew(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert project.ledger.file is not None
    copy = list_copies(project.ledger.file)[0]
    (tmp_path / "other").mkdir()
    assert restore(monkeypatch, tmp_path / "other", "--copy", str(copy)) == 0
    restored = open_project("", str(tmp_path / "other"), {"labels": "liver"})
    assert [image.id for image in restored.ledger.images()] == ["a"]
