"""Which Pythons are refused, and how: before anything is imported that would fail on them."""

import subprocess
import sys
from pathlib import Path

import pytest

from activelabel import python_version
from activelabel.__main__ import main

SCRIPT = Path(python_version.__file__)


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 11, 2), (3, 11, 15)])
def test_every_3_11_is_fit(version: tuple[int, int, int]) -> None:
    assert python_version.unfit(version) == ""


@pytest.mark.parametrize("version", [(3, 9, 18), (3, 10, 13), (3, 12, 0), (4, 11, 0)])
def test_another_python_is_refused_with_what_is_needed_and_what_came(version: tuple[int, int, int]) -> None:
    line = python_version.unfit(version)
    assert "needs Python 3.11" in line
    assert ".".join(map(str, version)) in line
    assert "\n" not in line


def test_the_command_ends_with_that_line_and_exit_code_2_before_it_reads_its_options(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(python_version, "FIT", (3, 10))
    monkeypatch.setitem(sys.modules, "activelabel.cli.main", None)  # an import of it would be an ImportError
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_make_asks_the_same_script_with_nothing_installed() -> None:
    """With `-I -S` Python sees neither our package nor any other."""
    done = subprocess.run([sys.executable, "-I", "-S", SCRIPT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_script_is_readable_by_old_pythons() -> None:
    """It is compiled for the grammar of 3.7, the oldest that `ast` knows."""
    import ast

    ast.parse(SCRIPT.read_text(encoding="utf-8"), feature_version=(3, 7))
