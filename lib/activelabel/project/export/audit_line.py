"""A line of the audit trail of an exported data set, and the values of its cells."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from activelabel.errors import InvalidInputError

Value = TypeVar("Value")
EXPORT_AGAIN = "take the file as it was exported, or export again"


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
        return self._parsed(column, int, "a whole number")

    def number(self, column: str) -> float | None:
        """A number."""
        return self._parsed(column, float, "a number")

    def time(self, column: str) -> datetime | None:
        """A time with a zone."""
        return self._parsed(column, _time, "a time with a zone, like 2026-01-31T12:00:00+00:00")

    def wholes(self, column: str) -> list[int]:
        """Whole numbers with spaces between them."""
        return self._parsed(column, lambda text: [int(part) for part in text.split()], "whole numbers") or []

    def slices(self) -> list[int] | None:
        """The slices; None stands for all of them."""
        if self.cells["slices"] == "all":
            return None
        found = self._parsed("slices", lambda text: [int(part) for part in text.split()], "'all', or whole numbers")
        if found is None:
            raise InvalidInputError(f"{self.where}: slices is empty, expected 'all', or whole numbers: {EXPORT_AGAIN}")
        return found

    def json(self, column: str) -> Any:
        """A JSON value."""
        return self._parsed(column, json.loads, "JSON")

    def _parsed(self, column: str, parse: Callable[[str], Value], expected: str) -> Value | None:
        text = self.text(column)
        if not text:
            return None
        try:
            return parse(text)
        except ValueError as error:
            raise InvalidInputError(
                f"{self.where}: {column} is '{text[:80]}', expected {expected}: {EXPORT_AGAIN}"
            ) from error


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("no zone")
    return time
