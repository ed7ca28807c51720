"""The lines of the audit trail of an exported data set, and the values of their cells."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from activelabel.backports import StrEnum
from activelabel.errors import InvalidInputError
from activelabel.project.export.audit import COLUMNS

Value = TypeVar("Value")
_LARGEST = 2**63 - 1
EXPORT_AGAIN = "take the file as it was exported, or export again"
_LATER = {"named_slices": "", "sent_otherwise": ""}
"""Columns that tables of earlier versions lack, the older ones first, and what they would have there."""
_HEADERS = [COLUMNS[: len(COLUMNS) - count] for count in range(len(_LATER) + 1)]


@dataclass(frozen=True)
class AuditLine:
    """A row of the table, with the line on which it ends.

    The methods return the value of a cell, None for an empty one, and raise InvalidInputError with file and line.
    """

    file: Path
    line: int
    cells: Mapping[str, str]

    @property
    def where(self) -> str:
        """The file and the line, for messages."""
        return f"{self.file}, line {self.line}"

    def text(self, column: str) -> str:
        """The text as it was before it was made harmless for spreadsheets."""
        return self.cells[column].removeprefix("'")

    def text_or_none(self, column: str) -> str | None:
        """The text; None for an empty cell."""
        return self.text(column) or None

    def needed(self, column: str) -> str:
        """A text that must not be empty."""
        if not self.cells[column]:
            event = self.cells["event"]
            raise InvalidInputError(f"{self.where}: {column} is empty in a row of '{event}': {EXPORT_AGAIN}")
        return self.text(column)

    def whole(self, column: str) -> int | None:
        """A whole number."""
        return self._parsed(column, _whole, "a whole number")

    def number(self, column: str) -> float | None:
        """A number."""
        return self._parsed(column, _number, "a number")

    def time(self, column: str) -> datetime | None:
        """A time with a zone."""
        return self._parsed(column, _time, "a time with a zone, like 2026-01-31T12:00:00+00:00")

    def wholes(self, column: str) -> list[int]:
        """Whole numbers with spaces between them."""
        return self._parsed(column, _wholes, "whole numbers") or []

    def slices(self) -> list[int] | None:
        """The slices; None stands for all of them."""
        if self.cells["slices"] == "all":
            return None
        found = self._parsed("slices", _wholes, "'all', or whole numbers")
        if found is None:
            raise InvalidInputError(f"{self.where}: slices is empty, expected 'all', or whole numbers: {EXPORT_AGAIN}")
        return found

    def named_slices(self) -> list[int] | str | None:
        """The slices that a client has named, or `all`; None if it has named none."""
        text = self.cells["named_slices"]
        return text if text == "all" else self._parsed("named_slices", _wholes, "'all', whole numbers, or nothing")

    def names(self, column: str) -> list[str] | None:
        """A list of texts."""
        return self._parsed(column, _names, "JSON with a list of names")

    def values(self, column: str) -> dict[str, Any] | None:
        """A value for each of some names."""
        return self._parsed(column, _values, "JSON with values by name")

    def digests(self, column: str) -> dict[str, str] | None:
        """The digest of each of some slices."""
        return self._parsed(column, _digests, "JSON with a digest by slice")

    def one_of(self, column: str, words: type[StrEnum]) -> str | None:
        """One of some words."""
        return self._parsed(column, lambda text: words(text).value, f"one of {', '.join(words)}")

    def _parsed(self, column: str, parse: Callable[[str], Value], expected: str) -> Value | None:
        text = self.text(column)
        if not text:
            return None
        try:
            return parse(text)
        except (ValueError, RecursionError) as error:  # the latter from brackets in brackets without end
            raise InvalidInputError(
                f"{self.where}: {column} is '{text[:80]}', expected {expected}: {EXPORT_AGAIN}"
            ) from error


def lines_of(file: Path) -> Iterator[AuditLine]:
    """The lines of a table that `audit.audit_table` has written.

    Raises:
        InvalidInputError: the file cannot be read or is no such table; the message names the line.
    """
    try:
        content = file.read_bytes().decode("utf-8")
    except (OSError, ValueError) as error:
        raise InvalidInputError(
            f"{file}: cannot be read ({error}): expected a folder that `activelabel export` wrote"
        ) from error
    table = csv.reader(io.StringIO(content, newline=""), strict=True)
    try:
        header = next(table, [])
        if tuple(header) not in _HEADERS:
            missing = [name for name in COLUMNS if name not in header]
            raise InvalidInputError(
                f"{file}, line 1: expected the columns {', '.join(COLUMNS)}"
                + (f"; {', '.join(missing)} is missing" if missing else "")
                + ": export again with this version"
            )
        for cells in table:
            if len(cells) != len(header):
                raise InvalidInputError(
                    f"{file}, line {table.line_num}: it has {len(cells)} cells, expected {len(header)}: {EXPORT_AGAIN}"
                )
            yield AuditLine(file, table.line_num, {**_LATER, **dict(zip(header, cells, strict=True))})
    except csv.Error as error:
        raise InvalidInputError(f"{file}, line {table.line_num}: no CSV ({error}): {EXPORT_AGAIN}") from error


def _whole(text: str) -> int:
    number = int(text)
    if abs(number) > _LARGEST:
        raise ValueError("no database takes it")
    return number


def _wholes(text: str) -> list[int]:
    return [_whole(part) for part in text.split()]


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not finite")
    return number


def _names(text: str) -> list[str]:
    found = json.loads(text)
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise ValueError("no list of texts")
    return found


def _values(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found


def _digests(text: str) -> dict[str, str]:
    found = _values(text)
    if not all((index.isdecimal() or index == "format") and isinstance(digest, str) for index, digest in found.items()):
        raise ValueError("no digests by slice")
    return found


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("no zone")
    return time
