"""Connections and transactions: one writer at a time, on both databases; an acknowledged write is never lost.

A database object holds a URL and connects at its first use in each process. So it can be pickled, and it survives a
fork: a child process neither uses nor closes its parent's connections.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from sqlalchemy import Connection, Engine, exc, func, select
from sqlalchemy.orm import Session

from activelabel.errors import InvalidInputError, UnavailableError
from activelabel.store.connection.engines import WRITING, explanation_of, new_engine, of_one_state
from activelabel.store.connection.location import checked_url, shown, sqlite_file
from activelabel.store.copies import damage
from activelabel.store.migration import migrate, require_newest

logger = logging.getLogger(__name__)

Clock = Callable[[], datetime]

_LOG_AGAIN_SECONDS = 60.0
_LOOK_SECONDS = 1.0  # for how long reads may share one transaction
_LEADER_LOCK = 0x6163746D  # the advisory lock whose holder is the leader of several servers


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(timezone.utc)


@dataclass(frozen=True)
class _Connected:
    """The connections of one process: views of one pool, for readers, for the writer, and for those beside it."""

    pid: int
    reader: Engine
    writer: Engine
    beside: Engine
    file: tuple[int, int] | None
    """Device and inode of an SQLite file: another file of the same name is another ledger."""


_inherited: list[object] = []  # connections of the parent process: kept, because SQLite forbids a child to close them


class _Look(threading.local):
    """The transaction that reads of one thread share, see `Database.one_look`."""

    depth = 0
    connected: _Connected | None = None
    session: Session | None = None
    began = 0.0

    def session_of(self, connected: _Connected) -> Session:
        """The session that reads share now."""
        if self.connected is not connected or time.monotonic() - self.began > _LOOK_SECONDS:
            self.end()
        if self.session is None:
            self.connected, self.session, self.began = connected, Session(connected.reader), time.monotonic()
        return self.session

    def end(self) -> None:
        """End the transaction; the next read begins another."""
        session, connected = self.session, self.connected
        self.session = self.connected = None
        if session is not None and connected is not None:
            if connected.pid == os.getpid():
                _close(session)
            else:
                _inherited.append(session)


def _close(session: Session) -> None:
    """End a transaction that has only read, also if its connection was lost meanwhile."""
    try:
        session.close()
    except exc.DBAPIError:
        session.invalidate()


class Database:
    """The ledger's database at a URL; `clock` returns the time.

    With `only_approved`, only labels that a reviewer has approved are learnt from.

    Raises:
        InvalidInputError: on construction, the URL is invalid; on first use, the server does not answer, the file is no
            ledger, or a newer version of this program wrote it.
    """

    def __init__(self, url: str, clock: Clock = utc_now, *, only_approved: bool = False) -> None:
        self._url = checked_url(url)
        self.only_approved = only_approved
        self._clock = clock
        self._connected: _Connected | None = None
        self._leading: Connection | None = None
        self._look = _Look()
        self._last_logged = ("", 0.0)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.shown_url!r})"

    @property
    def shown_url(self) -> str:
        """The ledger's URL without a password."""
        return shown(self._url)

    def exists(self) -> bool:
        """Whether there may be a database: for SQLite, whether the file exists; for a server always True."""
        return self.file is None or self.file.is_file()

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_connected": None, "_leading": None, "_look": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._look = _Look()

    @property
    def file(self) -> Path | None:
        """The file of an SQLite ledger; None for one on a server."""
        return sqlite_file(self._url)

    def open(self) -> None:
        """Connect now rather than at first use, and create or upgrade the tables."""
        self._connection()

    def require_newest(self) -> None:
        """Check that the tables are those of this version, without creating or upgrading them as `open` does.

        A worker calls this: it must not change the tables below a server that runs.

        Raises:
            NotReadyError: there are no tables yet.
            InvalidInputError: they are of another version, or the database does not answer.
        """
        with self._explained(starting=True):
            engine = new_engine(self._url.render_as_string(hide_password=False))
            try:
                require_newest(engine, shown(self._url))
            finally:
                engine.dispose()

    def check(self) -> None:
        """Read a ledger that is a file once, and refuse a damaged one.

        Raises:
            InvalidInputError: the file is damaged; the message says how to put a copy back.
        """
        problem = None if self.file is None or not self.file.exists() else damage(self.file)
        if problem is not None:
            raise InvalidInputError(
                f"ledger {self.shown_url}: the file is damaged ({problem}): stop what uses it, and put a copy back "
                "with `activelabel restore`"
            )

    def lead(self) -> bool:
        """Whether this process leads all servers of the ledger. A leader leads as long as it lives.

        An SQLite ledger has only one server, which leads. On PostgreSQL the first server that calls this leads; when
        it is gone, the next one that calls does.
        """
        if self.file is not None:
            return True
        with self._explained():
            if self._leading is not None and _is_alive(self._leading):
                return True
            connection = self._connection().reader.connect()
            try:
                leads = bool(connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({_LEADER_LOCK})").scalar())
            except BaseException:
                connection.close()
                raise
            connection.commit()
            if leads:
                self._leading = connection
            else:
                connection.close()
            return leads

    @contextmanager
    def led(self) -> Iterator[bool]:
        """Whether this process leads during the block; after it one that did not lead before does so no longer.

        For a server's start, before any other thread calls `lead`.
        """
        before = self._leading
        leads = self.lead()
        try:
            yield leads
        finally:
            held = self._leading
            if held is not None and held is not before:
                self._leading = None
                if _is_alive(held):  # a connection that is lost has lost its lock too
                    with self._explained(), held:
                        _give_back(held)

    def close(self) -> None:
        """Close this process's connections. The next use connects again."""
        self._look.end()
        connected, self._connected = self._connected, None
        if connected is not None and connected.pid == os.getpid():
            if self._leading is not None:
                self._leading.invalidate()
            connected.reader.dispose()
        self._leading = None

    @contextmanager
    def one_look(self) -> Iterator[None]:
        """Let all that this thread reads in the block share one transaction: most of what a small read costs.

        A write of this thread ends the transaction, so that what is read next has it. So does the first read after a
        second, so that a block that takes longer sees what others write.
        """
        self._look.depth += 1
        try:
            yield
        finally:
            self._look.depth -= 1
            if not self._look.depth:
                self._look.end()

    def look_anew(self) -> None:
        """Begin another transaction with the next read of `one_look`.

        Call this before a wait, as for a lock: whoever is waited for may need the connection, and what is read after
        the wait has what others wrote meanwhile.
        """
        self._look.end()

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        """A transaction that sees one state of the ledger and changes nothing."""
        connected = self._connection()
        self._check_in_place(connected)
        with self._explained():
            if not self._look.depth:
                with Session(connected.reader) as session:
                    yield session
                return
            try:
                yield self._look.session_of(connected)
            except BaseException:  # after an error of the database the transaction can read no more
                self._look.end()
                raise

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        """The only write transaction among all processes; committed durably if the block raises nothing."""
        self._look.end()
        connected = self._connection()
        self._check_in_place(connected)
        with self._explained(), Session(connected.writer) as session, session.begin():
            yield session
        self._check_in_place(connected)  # A write into a file that was removed meanwhile must not be acknowledged.

    @contextmanager
    def _beside_writers(self) -> Iterator[Session]:
        """A transaction that writes only what its worker has claimed; on PostgreSQL it waits for no other writer."""
        if self.file is not None:
            with self._writing() as session:
                yield session
            return
        self._look.end()
        connected = self._connection()
        with self._explained(), Session(connected.beside) as session, session.begin():
            yield session

    def _shared_now(self, session: Session) -> datetime:
        """The time for what several machines must agree on: PostgreSQL's own, because the machines' clocks differ."""
        if self.file is not None or self._clock is not utc_now:
            return self._clock()
        now = session.scalar(select(func.clock_timestamp()))
        assert isinstance(now, datetime)
        return now

    def _connection(self) -> _Connected:
        """The connections of this process. Two threads may both connect; that is harmless."""
        connected = self._connected
        if connected is not None and connected.pid == os.getpid():
            return connected
        if connected is not None:
            _inherited.append(connected)
        with self._explained(starting=True):
            engine = new_engine(self._url.render_as_string(hide_password=False))
            writer = engine.execution_options(**{WRITING: True})
            migrate(engine, writer, shown(self._url), self.file)
        self._connected = connected = _Connected(
            os.getpid(), of_one_state(engine), writer, engine, _identity(self.file)
        )
        return connected

    def _check_in_place(self, connected: _Connected) -> None:
        """Raise an error if the ledger's file was removed or replaced since this process opened it."""
        if connected.file is not None and _identity(self.file) != connected.file:
            self._log_problem(f"ledger {self.shown_url}: the file was removed or replaced while it is in use")
            raise UnavailableError(
                "the ledger was removed or replaced while the server runs, so that nothing can be kept: stop the "
                "server, put the ledger back (`activelabel restore`), and start again"
            )

    def _log_problem(self, problem: str) -> None:
        """Log a problem; log the same one again only after a while, because every request meets it."""
        problem_before, at = self._last_logged
        now = time.monotonic()
        if problem != problem_before or now - at >= _LOG_AGAIN_SECONDS:
            self._last_logged = (problem, now)
            logger.error("%s", problem)

    @contextmanager
    def _explained(self, starting: bool = False) -> Iterator[None]:
        """Turn a database error that a user can mend into one line. A defect, such as a broken constraint, is raised.

        The line for the person who starts a server is complete; the one for an annotator names no host and no user.
        """
        try:
            yield
        except exc.DBAPIError as error:
            explanation = explanation_of(error, shown(self._url))
            if explanation is None:
                raise
            if isinstance(explanation, InvalidInputError) and not starting:
                self._log_problem(str(explanation))
                explanation = UnavailableError(
                    "the ledger's database does not answer, so that nothing can be kept: try again soon; the server's "
                    "log says why"
                )
            raise explanation from error


def _identity(file: Path | None) -> tuple[int, int] | None:
    try:
        status = None if file is None else file.stat()
    except OSError:
        return None
    return status and (status.st_dev, status.st_ino)


def _give_back(held: Connection) -> None:
    """End the lead; where that cannot be said to the database, the session ends, and the lead with it."""
    try:
        held.exec_driver_sql(f"SELECT pg_advisory_unlock({_LEADER_LOCK})")
        held.commit()
    except BaseException:
        held.invalidate()
        raise


def _is_alive(connection: Connection) -> bool:
    try:
        connection.exec_driver_sql("SELECT 1")
        connection.commit()
    except exc.DBAPIError:
        connection.invalidate()
        connection.close()
        return False
    return True
