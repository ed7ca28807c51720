"""The log of one project, without secrets. The host's own log is one file an app folder, which servers share."""

import logging
import logging.handlers
import re
import sys
from collections import deque
from pathlib import Path

from activelabel.analysis.harmless_text import visible

LOGGERS = ("", "task_train", "task_scoring", "task_batch_infer")
"""The root, and what the host sends its children's output to, past the root."""
BYTES, KEPT = 10 * 2**20, 5
_FORMAT = "[%(asctime)s] [%(levelname)s] (%(name)s) %(message)s"
_PASSWORD = re.compile(r"(?P<before>[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@]+(?=@)", re.IGNORECASE)
_NAMED = re.compile(r"(?P<before>\b(?:password|secret|token)\b[\"']?\s*[=:]\s*[\"']?)[^\s\"',;&]+", re.IGNORECASE)


def without_secrets(text: str) -> str:
    """The text with `***` for the password of each address, and for what is called password, secret or token."""
    return _NAMED.sub(r"\g<before>***", _PASSWORD.sub(r"\g<before>***", text))


class _Formatter(logging.Formatter):
    """Whatever a record says, its traceback too, without secrets.

    A name with a line break in it begins no line that looks like another record.
    """

    def format(self, record: logging.LogRecord) -> str:
        return visible(without_secrets(super().format(record))).replace("\n", "\n    ")


class _File(logging.handlers.RotatingFileHandler):
    """A log whose disk may be full for a while: said once, and not with a traceback for each record."""

    _missing = 0
    _failed = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, and first, where it is the first again, how many could not be written before it."""
        if self._missing:
            text = f"the log could not be written: {self._missing} records before this one may be missing"
            if not self._write(logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, None, None)):
                self._missing += 1
                return
            self._missing = 0
        if not self._write(record):
            self._missing += 1

    def _write(self, record: logging.LogRecord) -> bool:
        self._failed = False
        super().emit(record)
        return not self._failed

    def handleError(self, record: logging.LogRecord) -> None:  # the name is the standard library's
        """Say on the standard error that the log cannot be written; an error of another kind is a defect of ours."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        self._failed = True
        if not self._missing:
            sys.stderr.write(f"{self.baseFilename}: the log cannot be written ({error}); the work goes on\n")


def keep_log(file: Path) -> None:
    """Write what this process logs to `file` too, from now on."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handler = _File(file, maxBytes=BYTES, backupCount=KEPT, encoding="utf-8")
    handler.setFormatter(_Formatter(_FORMAT))
    for name in LOGGERS:
        logging.getLogger(name).addHandler(handler)
    for existing in {handler for name in LOGGERS for handler in logging.getLogger(name).handlers}:
        if not isinstance(existing.formatter, _Formatter):
            existing.addFilter(_hide_secrets)


def _hide_secrets(record: logging.LogRecord) -> bool:
    """A filter of the host's handlers, whose format stays, to the same end."""
    said = record.getMessage()
    shown = visible(without_secrets(said)).replace("\n", "\n    ")
    if shown != said:
        record.msg, record.args = shown, None
    return True


def last_lines(file: Path, count: int) -> str:
    """The last lines of a log, all for 0; an empty text where there is none yet."""
    try:
        with file.open(encoding="utf-8", errors="replace") as lines:
            return "".join(deque(lines, count) if count else lines)
    except FileNotFoundError:
        return ""
