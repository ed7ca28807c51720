"""The script that tests on other Pythons finds one that starts."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / ".ci" / "other_pythons.py"


@pytest.fixture
def other_pythons() -> ModuleType:
    spec = importlib.util.spec_from_file_location("other_pythons", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def shim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A python3.10 on the PATH that is only a shim of pyenv, and fails as one of a version that is not chosen."""
    file = tmp_path / "shims" / "python3.10"
    file.parent.mkdir()
    file.write_text("#!/bin/sh\necho 'pyenv: python3.10: command not found' >&2\nexit 127\n", encoding="utf-8")
    file.chmod(0o755)
    monkeypatch.setenv("PATH", str(file.parent))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "uv"))
    return file


def test_a_failure_on_one_python_does_not_keep_the_others_from_being_tried(
    other_pythons: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[tuple[str, int]] = []

    def test(python: str, folders: tuple[str, ...], need_other_numpy: tuple[str, ...] = ()) -> int:
        tried.append((python, len(folders)))
        return 1 if python == "python3.10" else 0

    monkeypatch.setattr(other_pythons, "_interpreter", lambda python: Path(python))
    monkeypatch.setattr(other_pythons, "_install", lambda python, *what: 0)
    monkeypatch.setattr(other_pythons, "_test", test)
    assert other_pythons.main([]) == 1
    all_folders, without_the_host = len(other_pythons.FOLDERS), len(other_pythons.WITHOUT_THE_HOST)
    assert tried == [("python3.10", all_folders), ("python3.12", all_folders), ("python3.12", without_the_host)]


def test_the_files_that_are_left_out_without_slicer_are_those_that_import_it(other_pythons: ModuleType) -> None:
    """One that imports it and is not left out would end the whole run where its tests are collected."""
    files = (file for folder in other_pythons.FOLDERS for file in (ROOT / "tests" / folder).rglob("test_*.py"))
    needing = [file for file in files if re.search(r"^ *(from|import) slicer", file.read_text("utf-8"), re.MULTILINE)]
    assert {file.relative_to(ROOT).as_posix() for file in needing} == set(other_pythons.NEED_SLICER)


def test_a_shim_that_does_not_start_is_no_python(other_pythons: ModuleType, shim: Path) -> None:
    assert other_pythons._interpreter("python3.10") is None


def test_where_no_other_python_is_found_the_core_is_not_tested_on_it_and_one_line_says_so(
    other_pythons: ModuleType, shim: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert other_pythons.main(["--core"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "python3.10: not found, so the core is not tested on it",
        "python3.12: not found, so the core is not tested on it",
    ]


@pytest.mark.parametrize("folder", ["pyenv/versions/3.10.13", "uv/cpython-3.10.13-linux-x86_64-gnu"])
def test_a_version_that_pyenv_or_uv_has_is_found_behind_a_shim(
    other_pythons: ModuleType, shim: Path, tmp_path: Path, folder: str
) -> None:
    inside = tmp_path / folder / "bin" / "python3.10"
    inside.parent.mkdir(parents=True)
    inside.symlink_to(sys.executable)
    assert other_pythons._interpreter("python3.10") == inside
