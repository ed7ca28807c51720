"""The log of one project, without secrets. The host's own log is one file per app folder, which servers share."""

import logging
import logging.handlers
import re
import sys
from collections import deque
from pathlib import Path

from activelabel.analysis.harmless_text import visible

LOGGERS = ("", "task_train", "task_scoring", "task_batch_infer")
"""The root logger, and the loggers of the host's child processes, which do not propagate to the root."""
BYTES, KEPT = 10 * 2**20, 5
_FORMAT = "[%(asctime)s] [%(levelname)s] (%(name)s) %(message)s"
_PASSWORD = re.compile(r"(?P<before>[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@]+(?=@)", re.IGNORECASE)
_NAMED = re.compile(r"(?P<before>\b(?:password|secret|token)\b[\"']?\s*[=:]\s*[\"']?)[^\s\"',;&]+", re.IGNORECASE)


def without_secrets(text: str) -> str:
    """The text with `***` for the password in each URL and for each value named password, secret or token."""
    return _NAMED.sub(r"\g<before>***", _PASSWORD.sub(r"\g<before>***", text))


class _Formatter(logging.Formatter):
    """Formats records, including tracebacks, without secrets.

    Continuation lines are indented, so that a line break in a name cannot fake another record.
    """

    def format(self, record: logging.LogRecord) -> str:
        return visible(without_secrets(super().format(record))).replace("\n", "\n    ")


class _File(logging.handlers.RotatingFileHandler):
    """A log file that reports a full disk once, instead of a traceback for each record."""

    _missing = 0
    _failed = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; if writing had failed before, write first how many records were lost."""
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
        """Report on standard error that the log cannot be written; any other error is a defect of this program."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        self._failed = True
        if not self._missing:
            sys.stderr.write(f"{self.baseFilename}: the log cannot be written ({error}); the work goes on\n")


def keep_log(file: Path) -> None:
    """Also write the log of this process to `file` from now on."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handler = _File(file, maxBytes=BYTES, backupCount=KEPT, encoding="utf-8")
    handler.setFormatter(_Formatter(_FORMAT))
    for name in LOGGERS:
        logging.getLogger(name).addHandler(handler)
    for existing in {handler for name in LOGGERS for handler in logging.getLogger(name).handlers}:
        if not isinstance(existing.formatter, _Formatter):
            existing.addFilter(_hide_secrets)


def _hide_secrets(record: logging.LogRecord) -> bool:
    """A filter that removes secrets from the records of the host's handlers, which keep their format."""
    message = record.getMessage()
    shown = visible(without_secrets(message)).replace("\n", "\n    ")
    if shown != message:
        record.msg, record.args = shown, None
    return True


def last_lines(file: Path, count: int) -> str:
    """The last `count` lines of a log, all lines if `count` is 0; an empty text if there is no log yet."""
    try:
        with file.open(encoding="utf-8", errors="replace") as lines:
            return "".join(deque(lines, count) if count else lines)
    except FileNotFoundError:
        return ""
