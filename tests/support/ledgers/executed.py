"""The statements that ledgers execute, and the transactions that they begin."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

BEGIN = "begin"
"""Noted for each transaction."""


@contextmanager
def executed() -> Iterator[list[str]]:
    """The statements that any ledger of this process executes in the block, and `BEGIN` for each transaction."""
    statements: list[str] = []

    def note(*arguments: Any) -> None:
        statements.append(str(arguments[2]))

    def note_begin(_: object) -> None:
        statements.append(BEGIN)

    event.listen(Engine, "before_cursor_execute", note)
    event.listen(Engine, "begin", note_begin)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", note)
        event.remove(Engine, "begin", note_begin)
