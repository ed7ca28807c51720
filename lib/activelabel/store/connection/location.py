"""The location of a ledger: a checked database URL, and its display form without a password."""

from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from activelabel.errors import InvalidInputError

_EXPECTED = "expected sqlite:////folder/ledger.sqlite or postgresql://user:password@host:port/database"


def sqlite_url(path: Path) -> str:
    """The URL of an SQLite ledger file."""
    return URL.create("sqlite", database=str(path.absolute())).render_as_string(hide_password=False)


def sqlite_file(url: URL) -> Path | None:
    """The file of an SQLite ledger; None for another database."""
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def checked_url(url: str) -> URL:
    """The URL with the driver that this program uses.

    Raises:
        InvalidInputError: the text is no URL, names another database, or SQLite in memory, where two processes would
            see two ledgers. The message does not repeat the text: even a misspelt URL may hold a password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise InvalidInputError(f"ledger URL: cannot be read; {_EXPECTED}") from None
    backend = parsed.drivername.partition("+")[0]
    if backend == "sqlite":
        if parsed.database in (None, "", ":memory:") or parsed.query:
            raise InvalidInputError(f"ledger URL: SQLite needs a file and takes no options; {_EXPECTED}")
        return parsed.set(drivername="sqlite+pysqlite")
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    raise InvalidInputError(f"ledger URL: unknown database '{backend}'; {_EXPECTED}")


def shown(url: URL) -> str:
    """The URL for display and logs: without password, and without options, which can hold one too."""
    return url.set(drivername=url.get_backend_name(), query={}).render_as_string(hide_password=True)
