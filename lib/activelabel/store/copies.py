"""Copies of an SQLite ledger: made while it is in use, the last few kept, put back if the ledger is damaged or gone."""

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

from activelabel.errors import InvalidInputError, NotFoundError

KEPT = 7
"""The default number of copies that are kept."""
EVERY = timedelta(days=1)
_FORMAT = "%Y-%m-%dT%H-%M-%S.%fZ"
_WAIT_SECONDS = 30


def copies_folder(ledger: Path) -> Path:
    """The folder of the copies of a ledger, beside it."""
    return ledger.with_name(f"{ledger.name}-copies")


def list_copies(ledger: Path) -> list[Path]:
    """The copies of a ledger, the oldest first; a file of another name in their folder is none."""
    return sorted(file for file in copies_folder(ledger).glob("*Z.sqlite") if _time_of_copy(file) is not None)


def copy_ledger(ledger: Path, keep: int = KEPT, now: datetime | None = None) -> Path:
    """Copy a ledger by SQLite's own backup, which copies one state of it even if others write meanwhile.

    Only the newest `keep` copies are kept.

    Returns:
        The copy. It is written completely or not at all.

    Raises:
        OSError, sqlite3.Error: the ledger cannot be read, or the disk cannot be written; earlier copies stay.
    """
    folder = copies_folder(ledger)
    folder.mkdir(exist_ok=True)
    copy = folder / f"{(now or datetime.now(timezone.utc)).strftime(_FORMAT)}.sqlite"
    unfinished = copy.with_suffix(".part")
    try:
        with closing(_opened(ledger)) as source, closing(sqlite3.connect(unfinished)) as target:
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")  # so that the copy is one file
        _sync(unfinished)
        unfinished.replace(copy)
    finally:
        unfinished.unlink(missing_ok=True)
    for old in list_copies(ledger)[: -max(keep, 1)]:
        old.unlink(missing_ok=True)
    return copy


def copy_is_due(ledger: Path, now: datetime | None = None) -> bool:
    """Whether the newest copy is older than `EVERY`, or there is none.

    A copy from the future, which a wrong clock leaves, does not count.
    """
    now = now or datetime.now(timezone.utc)
    times = map(_time_of_copy, list_copies(ledger))
    ages = [now - taken for taken in times if taken is not None and taken <= now]
    return min(ages, default=EVERY) >= EVERY


def restore_copy(ledger: Path, copy: Path) -> Path | None:
    """Replace a ledger that no process has open by a copy; the earlier ledger is moved aside, never removed.

    Returns:
        The path to which the earlier ledger was moved; None if there was none.

    Raises:
        InvalidInputError: the copy is damaged.
        NotFoundError: there is no such copy.
    """
    if not copy.is_file():
        raise NotFoundError(f"{copy}: there is no such copy; there are: {', '.join(map(str, list_copies(ledger)))}")
    problem = damage(copy)
    if problem is not None:
        raise InvalidInputError(f"{copy}: the copy is damaged ({problem}): choose another")
    unfinished = ledger.with_name(f".{ledger.name}.part")
    shutil.copyfile(copy, unfinished)
    _sync(unfinished)
    aside = None
    if ledger.exists():
        aside = ledger.with_name(f"{ledger.name}.replaced-{time.time_ns()}")
        _move_with_log(ledger, aside)
    else:
        _remove_log(ledger)  # SQLite would play the log of a removed ledger into the copy.
    unfinished.replace(ledger)
    return aside


def damage(ledger: Path) -> str | None:
    """The fault that SQLite finds in a ledger's file, or None; reads all its pages once."""
    try:
        with closing(_opened(ledger)) as connection:
            (result,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        return str(error)
    return None if result == "ok" else " ".join(str(result).split())


def keep_copying(ledger: Path, keep: int, report: Callable[[Path | Exception], None]) -> None:
    """Copy a ledger if a copy is due; `report` gets the copy, or the error that prevented it."""
    if not copy_is_due(ledger):
        return
    try:
        report(copy_ledger(ledger, keep))
    except (OSError, sqlite3.Error) as error:
        report(error)


def _opened(ledger: Path) -> sqlite3.Connection:
    """A connection for reading; a missing file is not created."""
    return sqlite3.connect(f"{ledger.absolute().as_uri()}?mode=rw", uri=True, timeout=_WAIT_SECONDS)


def _time_of_copy(copy: Path) -> datetime | None:
    """The time that the name of a copy says; None for a name that says none."""
    try:
        return datetime.strptime(copy.stem, _FORMAT).replace(tzinfo=timezone.utc)
    except ValueError:
        return None


def _move_with_log(ledger: Path, aside: Path) -> None:
    for ending in ("-wal", "-shm", ""):
        part = ledger.with_name(f"{ledger.name}{ending}")
        if part.exists():
            part.rename(aside.with_name(f"{aside.name}{ending}"))


def _remove_log(ledger: Path) -> None:
    for ending in ("-wal", "-shm"):
        part = ledger.with_name(f"{ledger.name}{ending}")
        if part.exists():
            part.rename(part.with_name(f"{part.name}.replaced-{time.time_ns()}"))


def _sync(path: Path) -> None:
    with path.open("rb+") as file:  # Windows syncs only what may be written
        os.fsync(file.fileno())
