"""Whether the ledger has changed, found out without reading it."""

import itertools
import os
import threading
from collections.abc import Hashable
from dataclasses import dataclass

from sqlalchemy import Connection, exc, func, select

from activelabel.store.database import Database
from activelabel.store.pool import active
from activelabel.store.schema import LeaseRow

_lock = threading.Lock()
_numbers = itertools.count()
_inherited: list["_Watch"] = []  # a parent's: kept, for SQLite forbids even to close them in a child


@dataclass(frozen=True)
class _Watch:
    """A connection that writes nothing, so that SQLite tells it of every change by another, of this process too.

    Its versions can only be compared with each other: `number` tells them from those of another connection.
    """

    connection: Connection
    number: int
    pid: int

    def version(self) -> int:
        """Another after every commit. Ends the transaction in which it is read, which would stand still."""
        version = int(self.connection.exec_driver_sql("PRAGMA data_version").scalar_one())
        self.connection.commit()
        return version


class Revisions(Database):
    """Tells whether anything has happened."""

    _watch: _Watch | None = None

    def revision(self) -> Hashable:
        """Another value after every change of the ledger, by whichever process, and whenever a lease expires.

        Two equal values mean that every question is answered as before. It costs two small queries. On PostgreSQL also
        other databases of the server change it.

        Raises:
            UnavailableError: the database does not answer, or its file is gone or is another.
        """
        version: Hashable = None
        if self.file is not None:
            version = self._sqlite_version()
        with self._reading() as session:
            if version is None:
                # Which transactions are seen: two that see the same ones see the same data.
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
        """Give this process's connections back. The next use connects again."""
        with _lock:
            watch, self._watch = self._watch, None
            if watch is not None and watch.pid == os.getpid():
                watch.connection.close()
        super().close()

    def __getstate__(self) -> dict[str, object]:
        return {**super().__getstate__(), "_watch": None}
