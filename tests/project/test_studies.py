"""What is said where the studies cannot be read at a start."""

import errno
import os
import threading
from pathlib import Path

import pytest

from activelabel.errors import InvalidInputError
from activelabel.project.studies import reading_explained, require_answer


def error_at(number: int, *path: Path) -> OSError:
    return OSError(number, os.strerror(number), *map(str, path))


def test_a_share_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError) as told, reading_explained("/data/ct", tmp_path / "project"):
        raise error_at(errno.ESTALE, tmp_path / "sub")
    assert str(told.value) == (
        f"--studies /data/ct: {tmp_path / 'sub'} cannot be read ({os.strerror(errno.ESTALE)}): does its disk or share "
        "answer, and may this user read it?"
    )


def test_other_errors_are_no_fault_of_the_share(tmp_path: Path) -> None:
    for error in (
        error_at(errno.ENOENT, tmp_path / "sub"),
        error_at(errno.EACCES, tmp_path / "project" / "ledger.sqlite"),
        error_at(errno.EACCES),
    ):
        said = str(error.strerror)
        with pytest.raises(OSError, match=said) as raised, reading_explained("/data/ct", tmp_path / "project"):
            raise error
        assert raised.value is error


def test_a_share_that_never_answers_is_one_line_after_a_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A share whose server is gone cannot be had here, so the question is held up."""
    answering = threading.Event()
    monkeypatch.setattr(os.path, "isdir", lambda path: answering.wait(60) and path == str(tmp_path))
    try:
        with pytest.raises(InvalidInputError) as told:
            require_answer(str(tmp_path), 0.1)
    finally:
        answering.set()
    assert str(told.value) == (
        f"--studies {tmp_path}: its disk or share has not answered for 0.1 s: mount it again, or name another folder"
    )
    require_answer(str(tmp_path), 60)
    require_answer("http://127.0.0.1:9/dicom-web", 0)
