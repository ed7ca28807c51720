"""Unfit Pythons are refused before any import that would fail on them; the others are fit."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest

from activelabel import python_version
from activelabel.__main__ import main

SCRIPT = Path(python_version.__file__)


@pytest.mark.parametrize("version", [(3, 10, 0), (3, 10, 13), (3, 11, 2), (3, 12, 15)])
def test_every_python_from_3_10_to_3_12_is_fit(version: tuple[int, int, int]) -> None:
    assert python_version.unfit(version) == ""


@pytest.mark.parametrize("version", [(3, 9, 18), (2, 7, 18), (3, 13, 0), (4, 11, 0)])
def test_another_python_is_refused_with_what_is_needed_and_what_came(version: tuple[int, int, int]) -> None:
    line = python_version.unfit(version)
    assert "needs Python 3.10 to 3.12" in line
    assert ".".join(map(str, version)) in line
    assert "\n" not in line


def test_ctrl_c_while_the_command_imports_its_modules_is_one_line_and_exit_code_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted(ModuleType):
        def __getattr__(self, name: str) -> NoReturn:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "activelabel.cli.main", Interrupted("activelabel.cli.main"))
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, capsys.readouterr().err) == (130, "stopped\n")


@pytest.mark.parametrize(("before", "during", "spins"), [("", "PASSIVE", "1000"), ("ACTIVE", "ACTIVE", None)])
def test_threads_of_openmp_sleep_while_they_wait_unless_the_user_says_otherwise(
    before: str, during: str, spins: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "")  # so that both are put back at the end
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.setenv("OMP_WAIT_POLICY", before)
    if not before:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    monkeypatch.setattr(sys, "argv", ["activelabel", "--version"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, os.environ["OMP_WAIT_POLICY"], os.environ.get("GOMP_SPINCOUNT")) == (0, during, spins)
    assert capsys.readouterr().out.startswith("activelabel ")


def test_the_command_refuses_an_unfit_python_with_exit_code_2_before_it_reads_its_options(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(python_version, "HIGHEST", (3, 9))
    monkeypatch.setitem(sys.modules, "activelabel.cli.main", None)  # an import of it would be an ImportError
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_make_checks_the_python_with_the_same_script_and_nothing_installed() -> None:
    """With `-I -S` Python finds neither this package nor any other."""
    done = subprocess.run([sys.executable, "-I", "-S", SCRIPT], capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_script_that_checks_the_python_can_be_compiled_by_old_pythons() -> None:
    """The script is compiled for the grammar of 3.7, the oldest that `ast` knows."""
    ast.parse(SCRIPT.read_text(encoding="utf-8"), feature_version=(3, 7))


ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path
    for folder in ("lib", "apps", "sample-data", "benchmarks", "docs", ".ci", "tests")
    for path in (ROOT / folder).rglob("*.py")
)
READ = """
import sys

for path in sys.stdin.read().splitlines():
    with open(path, encoding="utf-8") as file:
        compile(file.read(), path, "exec")
sys.path.insert(0, sys.argv[1])
import activelabel, activelabel.errors, activelabel.names, activelabel.python_version
assert not activelabel.python_version.unfit(sys.version_info)
"""
"""Compiles every source, and imports what needs no package."""


def interpreters() -> list[str]:
    """Return this Python, and the lowest and highest fit ones that this machine has."""
    found = [sys.executable]
    for major, minor in (python_version.LOWEST, python_version.HIGHEST):
        name = f"python{major}.{minor}"
        pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
        candidates = [shutil.which(name), *map(str, sorted(pyenv.glob(f"{major}.{minor}.*/bin/{name}")))]
        found += [path for path in candidates if path is not None and _runs(path)][:1]
    return found


def _runs(python: str) -> bool:
    """Return whether a Python runs: pyenv puts a name on the path for each Python that it knows of."""
    return subprocess.run([python, "-V"], capture_output=True, check=False).returncode == 0


def test_every_source_is_written_in_the_grammar_of_the_lowest_python() -> None:
    for path in SOURCES:
        ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=python_version.LOWEST)


@pytest.mark.parametrize("python", interpreters(), ids=lambda path: Path(path).name)
def test_every_source_is_read_by_each_python_that_is_here(python: str) -> None:
    command = [python, "-I", "-S", "-W", "error", "-c", READ, str(ROOT / "lib")]
    names = "\n".join(map(str, SOURCES))
    done = subprocess.run(command, input=names, capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_lint_holds_the_code_against_the_lowest_python() -> None:
    """A feature of a later Python is then an error of mypy, and new grammar one of ruff."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    major, minor = python_version.LOWEST
    assert f'python_version = "{major}.{minor}"' in text
    assert f'target-version = "py{major}{minor}"' in text
