"""The script that tests on other Pythons finds one that starts."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "other_pythons.py"


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
    return file


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


def test_a_version_that_pyenv_has_is_found_behind_its_shim(
    other_pythons: ModuleType, shim: Path, tmp_path: Path
) -> None:
    inside = tmp_path / "pyenv" / "versions" / "3.10.13" / "bin" / "python3.10"
    inside.parent.mkdir(parents=True)
    inside.symlink_to(sys.executable)
    assert other_pythons._interpreter("python3.10") == inside
