"""What differs between SQLite and PostgreSQL: how each is opened, how a transaction begins, what its errors mean."""

import sqlite3
import time

from sqlalchemy import Connection, Engine, create_engine, event, exc
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.pool import ConnectionPoolEntry

from activelabel.errors import ActiveLabelError, InvalidInputError, NotReadyError, StorageFullError

WRITING = "activelabel_writing"
"""The option of a connection by which transactions on it write."""
_PATIENCE_SECONDS = 30  # the wait for another process's transaction; the ones of this program take milliseconds
_CONNECT_SECONDS = 10
_RETRY_SECONDS = 0.01
_SILENT_SECONDS = 30  # after which either side of a connection asks whether the other is there: systems take two hours
_ASKED_AGAIN_SECONDS, _ASKED_TIMES = 10, 3
_LOST_SECONDS = _SILENT_SECONDS + _ASKED_AGAIN_SECONDS * _ASKED_TIMES
_WRITER_LOCK = 0x61637469  # PostgreSQL's advisory lock that makes the writers take turns
_PATIENCE = f"set_config('lock_timeout', '{_PATIENCE_SECONDS}s', true)"
_TAKE_TURNS = f"SELECT pg_advisory_xact_lock({_WRITER_LOCK}) FROM {_PATIENCE}"  # noqa: S608  # in one round trip
_LOCK_NOT_AVAILABLE, _INSUFFICIENT_PRIVILEGE, _DISK_FULL = "55P03", "42501", "53100"  # PostgreSQL's codes
_STOOD_STILL = "25P03"  # for longer than `idle_in_transaction_session_timeout`
_SYNCHRONOUS = "FULL"  # SQLite's: a commit is on the disk before it is acknowledged
_SQLITE_BUSY, _SQLITE_FULL = 5, 13  # primary result codes
_SQLITE_CODES = {"database is locked": _SQLITE_BUSY, "database or disk is full": _SQLITE_FULL}

# A connection for each thread of a server, of which forty answer requests: a request may keep one until it ends
# (`Database.one_look`), and whoever waits for one would keep others waiting. Those beyond five are closed after use.
_POOL = {"pool_size": 5, "max_overflow": 40}

_NOTICING_LOSS = {
    "keepalives_idle": _SILENT_SECONDS,
    "keepalives_interval": _ASKED_AGAIN_SECONDS,
    "keepalives_count": _ASKED_TIMES,
    "tcp_user_timeout": _LOST_SECONDS * 1000,
}
_SERVER_NOTICING_LOSS = {
    "tcp_keepalives_idle": f"{_SILENT_SECONDS}s",
    "tcp_keepalives_interval": f"{_ASKED_AGAIN_SECONDS}s",
    "tcp_keepalives_count": f"{_ASKED_TIMES}",
    "tcp_user_timeout": f"{_LOST_SECONDS}s",
    "idle_in_transaction_session_timeout": f"{_LOST_SECONDS}s",
}

_FOR_SHORT_STATEMENTS = {"jit": "off", "max_parallel_workers_per_gather": "0"}
"""Of a million images a statement reads the first few of an index, which takes a millisecond. PostgreSQL goes by what
reading all would cost, and compiled it and started workers for it first, which took 110 ms.
"""


def new_engine(url: str) -> Engine:
    """The connections to a database, which is opened at the first use.

    Raises:
        InvalidInputError: the package for PostgreSQL is not installed.
    """
    if url.startswith("sqlite"):
        engine = create_engine(url, **_POOL)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    try:
        # A PostgreSQL server without a locale answers in bytes unless the client encoding is UTF-8.
        options = {"connect_timeout": _CONNECT_SECONDS, "client_encoding": "utf8", **_NOTICING_LOSS}
        engine = create_engine(url, pool_pre_ping=True, connect_args=options, **_POOL)
    except ModuleNotFoundError as error:
        raise InvalidInputError(
            "ledger URL: PostgreSQL needs the package psycopg; run: pip install 'psycopg[binary]'"
        ) from error
    event.listen(engine, "connect", _prepare_postgresql)
    event.listen(engine, "begin", _begin_postgresql)
    return engine


def of_one_state(engine: Engine) -> Engine:
    """A view of the connections for transactions all of whose statements see the ledger as their first one does.

    SQLite's do so anyway. PostgreSQL is told with the beginning of each, which costs no message of its own; it never
    refuses such a transaction that only reads.
    """
    return engine if engine.dialect.name == "sqlite" else engine.execution_options(isolation_level="REPEATABLE READ")


def _prepare_postgresql(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    """Have the server end a transaction whose machine is gone, or whose process stands still, and prepare for no more
    than short statements.

    The transaction may be the writer's, for which all others wait. An earlier PostgreSQL that does not know a setting,
    as 11 `tcp_user_timeout`, does without.
    """
    wanted = {**_SERVER_NOTICING_LOSS, **_FOR_SHORT_STATEMENTS}
    settings = ", ".join(f"('{name}', '{value}')" for name, value in wanted.items())
    cursor = connection.cursor()
    cursor.execute(
        f"SELECT set_config(name, value, false) FROM (VALUES {settings}) AS wanted (name, value) "  # noqa: S608
        "WHERE current_setting(name, true) IS NOT NULL"
    )
    cursor.close()
    connection.commit()


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # so that this module issues BEGIN itself, see _begin_sqlite
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_PATIENCE_SECONDS * 1000}")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute(f"PRAGMA synchronous = {_SYNCHRONOUS}")
    _write_ahead(cursor)
    cursor.close()


def _write_ahead(cursor: DBAPICursor) -> None:
    """Keep a write-ahead log: readers never wait for the writer, nor the writer for them.

    If several processes switch a new file at once, SQLite refuses some of them at once despite its busy timeout; this
    function therefore retries.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_SECONDS)
        else:
            break
    row = cursor.fetchone()
    if row is None or row[0] != "wal":
        raise InvalidInputError("ledger: its file system cannot keep a write-ahead log; put it on a local disk")


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock at once: a transaction that reads first and then writes could be refused as out of date."""
    writing = connection.get_execution_options().get(WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _begin_postgresql(connection: Connection) -> None:
    """Make writers take turns, as on SQLite: writes are rare and short, and two can never deadlock."""
    if connection.get_execution_options().get(WRITING, False):
        connection.exec_driver_sql(_TAKE_TURNS)


def _is_busy(error: BaseException | None) -> bool:
    return _sqlite_code(error) == _SQLITE_BUSY


def _sqlite_code(error: BaseException | None) -> int:
    """SQLite's primary result code of an error, 0 for another driver's; Python 3.10 offers only the text."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return int(code) & 0xFF
    return _SQLITE_CODES.get(str(error), 0) if isinstance(error, sqlite3.Error) else 0


def explanation_of(error: exc.DBAPIError, name: str) -> ActiveLabelError | None:
    """The error to raise for a database error that a user can mend, else None. The driver's text has no password."""
    cause = error.orig
    driver_text = " ".join(str(cause).split())
    sqlstate = getattr(cause, "sqlstate", None)
    if sqlstate == _INSUFFICIENT_PRIVILEGE:
        return InvalidInputError(f"ledger {name}: {driver_text}; give its user the right to create tables there")
    lost = sqlstate == _STOOD_STILL or error.connection_invalidated
    if not (lost or isinstance(error, exc.OperationalError) or type(error) is exc.DatabaseError):
        return None
    if _sqlite_code(cause) == _SQLITE_FULL or sqlstate == _DISK_FULL:
        return StorageFullError("the disk of the ledger is full, so that nothing can be kept: free some room")
    if _is_busy(cause) or sqlstate == _LOCK_NOT_AVAILABLE:
        return NotReadyError(f"ledger {name}: another process has held it for {_PATIENCE_SECONDS} s; try again")
    return InvalidInputError(
        f"ledger {name}: {driver_text}; check that the address is right and can be read and written"
    )
