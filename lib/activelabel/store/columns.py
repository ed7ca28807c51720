"""The types of the ledger's columns: names that sort as in Python, times in UTC, lists of slices and scores."""

import array
import sys
from collections.abc import Sequence
from datetime import datetime, timezone

from sqlalchemy import JSON, DateTime, Dialect, LargeBinary, String, TypeDecorator

NAME_LENGTH = 255  # the longest file name
WORD_LENGTH = 64  # tags, measures, regions, aggregations

# PostgreSQL orders text by the server's locale unless a collation is given; ties must break as in Python.
Name = String(NAME_LENGTH).with_variant(String(NAME_LENGTH, collation="C"), "postgresql")
Word = String(WORD_LENGTH).with_variant(String(WORD_LENGTH, collation="C"), "postgresql")
SliceList = JSON(none_as_null=True)


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time: accepts only aware times and returns UTC. SQLite keeps the UTC time as text without a zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The time in UTC; a time without a zone is a defect and raises ValueError."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"the ledger keeps times with a zone, got {value!r}")
        return value and value.astimezone(timezone.utc)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The time from the database, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)


class FloatArray(TypeDecorator[tuple[float, ...]]):
    """An array of little-endian single-precision numbers: the scores of a volume's slices."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Sequence[float] | None, dialect: Dialect) -> bytes | None:
        """The numbers as bytes."""
        return None if value is None else _little_endian(array.array("f", value)).tobytes()

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> tuple[float, ...] | None:
        """The numbers from the bytes in the database."""
        if value is None:
            return None
        numbers = array.array("f")
        numbers.frombytes(value)
        return tuple(_little_endian(numbers))


def _little_endian(numbers: "array.array[float]") -> "array.array[float]":
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
