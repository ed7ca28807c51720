import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

from activelabel.loop.run_folder import exclusive_run, finish_run

# Begins a run, prints that it has begun, and waits until it is killed.
CHILD = """
import sys, time
from pathlib import Path
from activelabel.loop.run_folder import exclusive_run
with exclusive_run(Path(sys.argv[1])) as folder:
    (folder / "half-written.pt").write_bytes(b"half")
    print("begun", flush=True)
    time.sleep(60)
"""


def test_a_run_begins_in_an_empty_folder_and_is_kept_without_its_weights(tmp_path: Path) -> None:
    with exclusive_run(tmp_path) as folder:
        assert list(folder.iterdir()) == []
        (folder / "best.pt").touch()
        (folder / "log").touch()
        finish_run(folder, 1)

    assert [path.name for path in (tmp_path / f"{folder.name}_model_1").iterdir()] == ["log"]


def test_a_failed_run_is_there_to_look_at_until_the_next(tmp_path: Path) -> None:
    with contextlib.suppress(ZeroDivisionError), exclusive_run(tmp_path) as failed:
        (failed / "log").touch()
        raise ZeroDivisionError

    assert (failed / "log").exists()
    with exclusive_run(tmp_path):
        assert not (failed / "log").exists()


def test_the_run_of_another_process_is_waited_for_and_cleared_away_when_it_was_killed(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, encoding="utf-8")
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "begun\n"
        waiting = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, encoding="utf-8"
        )
        try:
            assert waiting.stdout is not None
            left = list((tmp_path / "unfinished").iterdir())
            child.kill()
            child.wait()
            assert waiting.stdout.readline() == "begun\n"
            now = list((tmp_path / "unfinished").iterdir())
        finally:
            waiting.kill()
            waiting.wait()
    finally:
        child.kill()
        child.wait()

    assert len(left) == len(now) == 1
    assert left != now


def test_no_run_begins_while_another_goes_on(tmp_path: Path) -> None:
    with exclusive_run(tmp_path) as folder:
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, encoding="utf-8")
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                child.communicate(timeout=3)
        finally:
            child.kill()
            child.wait()
        assert folder.is_dir()
