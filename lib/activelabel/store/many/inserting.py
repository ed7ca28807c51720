"""Inserting many rows of one table that are the same in most columns."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Table

_PARAMETERS = 999
"""How many a statement may have: SQLite before 3.32 takes no more."""
_ARRAYS = {str: "text[]", int: "bigint[]"}
"""PostgreSQL's arrays of what a column has in Python."""


def insert_rows(
    connection: Connection, table: Table, varying: Mapping[str, Sequence[str | int | None]], same: Mapping[str, Any]
) -> None:
    """Insert rows, of which the columns `varying` have these values, and the columns `same` this one each.

    Where the values vary, they must be such as the database itself keeps: texts and whole numbers. The drivers take
    longer for a statement than the databases do for a row. So on SQLite a statement has some hundred rows, and on
    PostgreSQL it has all, each column as an array.
    """
    kept = [_as_kept(table, name, value, connection) for name, value in same.items()]
    columns = ", ".join((*varying, *same))
    start = f"INSERT INTO {table.name} ({columns}) SELECT rows.*"  # names of this program, no values
    if connection.dialect.name != "sqlite":
        arrays = ", ".join(f"%s::{_ARRAYS[table.c[name].type.python_type]}" for name in varying)
        statement = f"{start}{', %s' * len(kept)} FROM unnest({arrays}) AS rows"
        connection.exec_driver_sql(statement, (*kept, *map(list, varying.values())))
        return
    rows = list(zip(*varying.values(), strict=True))
    in_one = (_PARAMETERS - len(kept)) // len(varying)
    row = f"({', '.join('?' * len(varying))})"
    for first in range(0, len(rows), in_one):
        some = rows[first : first + in_one]
        statement = f"{start}{', ?' * len(kept)} FROM (VALUES {', '.join([row] * len(some))}) AS rows"
        connection.exec_driver_sql(statement, (*kept, *chain.from_iterable(some)))


def _as_kept(table: Table, column: str, value: Any, connection: Connection) -> Any:
    """A value as the driver takes it for a column."""
    kind = table.c[column].type.dialect_impl(connection.dialect)  # SQLite's own times have no zone
    process = kind.bind_processor(connection.dialect)
    return value if process is None else process(value)
