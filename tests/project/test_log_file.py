"""The log of a project: its entries, and the secrets that it never holds."""

import errno
import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from activelabel.project.log_file import LOGGERS, keep_log, last_lines, without_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("open postgresql://ann:s3cret@db:5432/study now", "open postgresql://ann:***@db:5432/study now"),
        ("http://u:p%40w@host/ and http://v:x@host", "http://u:***@host/ and http://v:***@host"),
        ("{'password': 's3cret', 'user': 'ann'}", "{'password': '***', 'user': 'ann'}"),
        ("token=abc.def.ghi&x=1", "token=***&x=1"),
        (
            "postgresql://ann@db/study, http://127.0.0.1:8000/info/",
            "postgresql://ann@db/study, http://127.0.0.1:8000/info/",
        ),
        ("the token of the query is gone", "the token of the query is gone"),
    ],
)
def test_secrets_are_not_shown(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """The log of a project, to which this process writes."""
    before = {name: list(logging.getLogger(name).handlers) for name in LOGGERS}
    keep_log(tmp_path / "logs" / "server.log")
    yield tmp_path / "logs" / "server.log"
    for name, handlers in before.items():
        for handler in set(logging.getLogger(name).handlers) - set(handlers):
            logging.getLogger(name).removeHandler(handler)
            handler.close()


def test_log_entries_have_their_traceback_and_no_secrets(log: Path) -> None:
    try:
        raise ValueError("postgresql://ann:s3cret@db/study does not answer")
    except ValueError:
        logging.getLogger("activelabel.test").exception("with %s", "http://u:s3cret@host")
    logging.getLogger("task_train").warning("a child: password=s3cret")
    text = log.read_text(encoding="utf-8")
    assert "with http://u:***@host" in text
    assert "ValueError: postgresql://ann:***@db/study does not answer" in text
    assert "a child: password=***" in text
    assert "s3cret" not in text


class FullDisk(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_reported_once_and_the_gap_when_there_is_room_again(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (handler,) = (one for one in logging.getLogger().handlers if getattr(one, "baseFilename", "") == str(log))
    assert isinstance(handler, logging.FileHandler)
    file, handler.stream = handler.stream, FullDisk()
    logger = logging.getLogger("activelabel.test")
    for number in range(3):
        logger.warning("number %d", number)
    printed = capsys.readouterr().err.splitlines()
    assert [line for line in printed if "cannot be written" in line] == [
        f"{log}: the log cannot be written ([Errno 28] No space left on device); the work goes on"
    ]
    assert "Traceback" not in "".join(printed)
    handler.stream = file
    logger.warning("there is room")
    logger.warning("again")
    missing, room, again = log.read_text(encoding="utf-8").splitlines()
    assert "3 records before this one may be missing" in missing
    assert room.endswith("there is room")
    assert again.endswith("again")


def test_the_last_lines_are_shown(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text("a\nb\nc\n")
    assert last_lines(file, 2) == "b\nc\n"
    assert last_lines(file, 0) == "a\nb\nc\n"
    assert last_lines(tmp_path / "none", 2) == ""
