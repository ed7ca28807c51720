"""The statements that ledgers execute, and the transactions that they begin."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

BEGIN = "begin"
"""Noted for each transaction."""


@contextmanager
def executed() -> Iterator[list[str]]:
    """The statements that any ledger executes in the block and its thread, and `BEGIN` for each transaction.

    Threads of servers that tests before have left may go on asking their own ledgers.
    """
    statements: list[str] = []
    thread = threading.get_ident()

    def note(*arguments: Any) -> None:
        if threading.get_ident() == thread:
            statements.append(str(arguments[2]))

    def note_begin(_: object) -> None:
        if threading.get_ident() == thread:
            statements.append(BEGIN)

    event.listen(Engine, "before_cursor_execute", note)
    event.listen(Engine, "begin", note_begin)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", note)
        event.remove(Engine, "begin", note_begin)
