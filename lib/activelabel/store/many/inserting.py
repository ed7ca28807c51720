"""Inserting many rows of one table that are the same in most columns."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Table, insert

_PARAMETERS = 999
"""How many a statement may have: SQLite before 3.32 takes no more."""


def insert_rows(
    connection: Connection, table: Table, varying: Mapping[str, Sequence[str | int | None]], same: Mapping[str, Any]
) -> None:
    """Insert rows, of which the columns `varying` have these values, and the columns `same` this one each.

    Where the values vary, they must be such as the database itself keeps: texts and whole numbers. On SQLite, whose
    driver takes as long for a statement as SQLite does for a row, one statement has some hundred rows.
    """
    rows = list(zip(*varying.values(), strict=True))
    if connection.dialect.name != "sqlite":
        connection.execute(insert(table), [{**dict(zip(varying, row, strict=True)), **same} for row in rows])
        return
    kept = tuple(_as_kept(table, name, value, connection) for name, value in same.items())
    columns = ", ".join((*varying, *same))
    in_one = (_PARAMETERS - len(same)) // len(varying)
    for first in range(0, len(rows), in_one):
        some = rows[first : first + in_one]
        places = ", ".join([f"({', '.join('?' * len(varying))})"] * len(some))
        connection.exec_driver_sql(
            f"INSERT INTO {table.name} ({columns}) "  # noqa: S608  # names of this program, no values
            f"SELECT *{', ?' * len(same)} FROM (VALUES {places})",
            (*kept, *chain.from_iterable(some)),
        )


def _as_kept(table: Table, column: str, value: Any, connection: Connection) -> Any:
    """A value as the driver takes it for a column."""
    process = table.c[column].type.bind_processor(connection.dialect)
    return value if process is None else process(value)
