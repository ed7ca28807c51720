"""Detects changes of the ledger without reading its tables."""

import itertools
import os
import threading
from collections.abc import Hashable
from dataclasses import dataclass

from sqlalchemy import Connection, exc, func, select

from activelabel.store.database import Database
from activelabel.store.pool import active
from activelabel.store.schema.queries import LeaseRow

_lock = threading.Lock()
_numbers = itertools.count()
_inherited: list["_Watch"] = []  # connections of the parent process: kept, because SQLite forbids a child to close them


@dataclass(frozen=True)
class _Watch:
    """A connection that never writes, so that SQLite tells it of every change by another connection.

    Only versions of one connection can be compared: `number` distinguishes the connections.
    """

    connection: Connection
    number: int
    pid: int

    def version(self) -> int:
        """A number that changes with every commit. Reading it ends the transaction, in which it stands still."""
        version = int(self.connection.exec_driver_sql("PRAGMA data_version").scalar_one())
        self.connection.commit()
        return version


class Revisions(Database):
    """The revision of the ledger."""

    _watch: _Watch | None = None

    def revision(self) -> Hashable:
        """A value that changes with every change of the ledger by any process, and whenever a lease expires.

        Two equal values mean that all methods return the same as before. Reading it costs two small queries. On
        PostgreSQL, writes to other databases of the server change it too.

        Raises:
            UnavailableError: the database does not answer, or its file was removed or replaced.
        """
        version: Hashable = None
        if self.file is not None:
            version = self._sqlite_version()
        with self._reading() as session:
            if version is None:
                # The snapshot of visible transactions: two equal snapshots see the same data.
                version = session.scalar(select(func.txid_current_snapshot()))
            held = session.scalar(select(func.count()).select_from(LeaseRow).where(active(self._clock())))
        return version, held

    def _sqlite_version(self) -> Hashable:
        connected = self._connection()
        self._check_in_place(connected)
        with _lock, self._explained():
            watch = self._watch
            if watch is not None and watch.pid != os.getpid():
                _inherited.append(watch)
                watch = None
            if watch is None:
                watch = self._watch = _Watch(connected.reader.connect(), next(_numbers), os.getpid())
            try:
                return watch.number, watch.version()
            except exc.DBAPIError:
                self._watch = None
                watch.connection.invalidate()
                watch.connection.close()
                raise

    def close(self) -> None:
        """Close this process's connections. The next use connects again."""
        with _lock:
            watch, self._watch = self._watch, None
            if watch is not None and watch.pid == os.getpid():
                watch.connection.close()
        super().close()

    def __getstate__(self) -> dict[str, object]:
        return {**super().__getstate__(), "_watch": None}
