"""The output of `make` while it installs: a command's step and its duration, with and without a terminal."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "alive.py"
specification = importlib.util.spec_from_file_location("alive", SCRIPT)
assert specification is not None
assert specification.loader is not None
alive = importlib.util.module_from_spec(specification)
specification.loader.exec_module(alive)


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("Collecting torch==2.14.1 (from monai<1.6->activelabel==0.2.0)", "looking for torch"),
        ("  Downloading torch-2.14.1-cp311.whl (531.2 MB)", "downloading torch-2.14.1-cp311.whl (531.2 MB)"),
        ("  Using cached six-1.17.0-py2.py3-none-any.whl (11 kB)", "reading six-1.17.0-py2.py3-none-any.whl"),
        ("Processing /wheels/torch-2.14.1-cp311.whl (from monai)", "reading torch-2.14.1-cp311.whl"),
        ("  Building wheel for sam2 (pyproject.toml): started", "building sam2"),
        ("Installing collected packages: a, b, torch", "unpacking 3 packages"),
        ("Get:7 http://mirror bookworm/main amd64 chromium amd64 150.0 [70 MB]", "downloading chromium"),
        ("Unpacking orthanc (1.10.1) ...", "unpacking orthanc"),
        ("Setting up postgresql-15 (15.18) ...", "setting up postgresql-15"),
        ("Requirement already satisfied: numpy<2 in ./lib (1.26.4)", None),
        ("ERROR: No matching distribution found for torch", None),
    ],
)
def test_a_line_shows_the_step_that_the_command_is_at(line: str, step: str | None) -> None:
    assert alive.step_of(line) == step


def shown(script: str, capfd: pytest.CaptureFixture[str], every: float = 0.05) -> tuple[int, list[str], str]:
    code = alive.run([sys.executable, "-uc", script], every)
    out, err = capfd.readouterr()
    return code, out.splitlines(), err


def test_a_silent_command_is_reported_at_intervals(capfd: pytest.CaptureFixture[str]) -> None:
    code, lines, err = shown("import time; print('Collecting torch'); time.sleep(2)", capfd, every=0.02)
    assert code == 0
    assert len(lines) > 4
    assert {line.split(maxsplit=1)[1] for line in lines[:-1]} == {"looking for torch"}
    assert re.fullmatch(r"0:\d\d done", " ".join(lines[-1].split()))  # a busy machine takes longer than its second
    assert err == ""


def test_a_talkative_command_is_reported_now_and_then(capfd: pytest.CaptureFixture[str]) -> None:
    _, lines, _ = shown("for number in range(500): print(f'Collecting p{number}')", capfd, every=60)
    assert [line.split(maxsplit=1)[1] for line in lines] == ["looking for p0", "done"]


def test_nothing_is_printed_if_everything_is_installed(capfd: pytest.CaptureFixture[str]) -> None:
    assert shown("print('Requirement already satisfied: six in ./lib')", capfd) == (0, [], "")


def test_the_output_of_a_failed_command_is_shown_with_its_exit_code(capfd: pytest.CaptureFixture[str]) -> None:
    script = "import sys; print('Collecting x'); print('ERROR: no such x', file=sys.stderr); sys.exit(7)"
    code, lines, err = shown(script, capfd)
    assert code == 7
    assert lines[-1].split()[-1] == "failed"
    assert "ERROR: no such x" in err


def test_lines_come_while_the_command_runs_and_not_after_it() -> None:
    """Without a terminal Python would buffer them."""
    command = [sys.executable, SCRIPT, sys.executable, "-uc", "print('Collecting x'); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8") as running:
        assert running.stdout is not None
        assert running.stdout.readline().split(maxsplit=1)[1] == "looking for x\n"
        assert running.poll() is None
        running.communicate("\n")
    assert running.returncode == 0
