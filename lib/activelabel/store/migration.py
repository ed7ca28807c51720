"""Upgrades a ledger to the newest schema, by one process at a time."""

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Column, Connection, Engine, MetaData, String, Table, inspect, select

from activelabel.errors import InvalidInputError, NotReadyError
from activelabel.store.copies import copy_ledger

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

VERSION_TABLE = (
    "activelabel_version"  # not Alembic's default name: another program's table must not be mistaken for this one
)

_SCRIPTS = Path(__file__).parent / "migrations"
_one_thread = threading.Lock()  # Alembic keeps the running migration in a global variable


def migrate(reader: Engine, writer: Engine, name: str, file: Path | None = None) -> None:
    """Create the tables of a new ledger, or upgrade those of an older one, in a single transaction.

    The transaction is a write transaction: of two processes, one waits and then finds the work done. An up-to-date
    ledger is only read. Errors call the ledger `name`. If it is a `file`, an older ledger is copied first.

    Raises:
        InvalidInputError: the ledger was written by a newer version, or the database belongs to something else.
    """
    with reader.connect() as connection:
        revision = _revision(connection)
    if revision == newest_revision():
        return
    if revision is not None and file is not None:
        copy_ledger(file)
    # Imported only if needed: every process opens the ledger, and importing Alembic takes longer than that.
    from alembic import command
    from alembic.script import ScriptDirectory

    with _one_thread, writer.begin() as connection:
        config = scripts_config(connection)
        _check_ours(connection, ScriptDirectory.from_config(config), name)
        command.upgrade(config, "head")


def scripts_config(connection: Connection | None = None) -> "Config":
    """What Alembic has to know: where the scripts are, and in which connection they run."""
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("recursive_version_locations", "true")
    return config


def require_newest(reader: Engine, name: str) -> None:
    """Check that a ledger has the newest schema; change nothing. Errors call the ledger `name`.

    Raises:
        NotReadyError: there is no ledger yet.
        InvalidInputError: an older or a newer version of this program has written it.
    """
    with reader.connect() as connection:
        revision = _revision(connection)
    if revision is None:
        raise NotReadyError(f"ledger {name}: nothing is there yet: start the project's server once")
    if revision != newest_revision():
        raise InvalidInputError(
            f"ledger {name}: its tables are of revision {revision}, and this activelabel needs {newest_revision()}: "
            "use the version of the project's server"
        )


def newest_revision() -> str:
    """The revision of the last migration script: file names begin with their revisions, which ascend."""
    return max(file.stem for file in (_SCRIPTS / "versions").rglob("[!_]*.py")).partition("_")[0]


def _revision(connection: Connection) -> str | None:
    """The revision of a ledger; None if it has none."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    table = Table(VERSION_TABLE, MetaData(), Column("version_num", String))
    return connection.scalar(select(table.c.version_num))


def _check_ours(connection: Connection, scripts: "ScriptDirectory", name: str) -> None:
    revision = _revision(connection)
    known = [script.revision for script in scripts.walk_revisions()]
    if revision is not None and revision not in known:
        raise InvalidInputError(
            f"ledger {name}: written by a newer activelabel (revision {revision}, this one knows up to {known[0]}); "
            "upgrade activelabel"
        )
    tables = inspect(connection).get_table_names()
    if revision is None and tables:
        raise InvalidInputError(
            f"ledger {name}: the database holds other tables ({', '.join(sorted(tables)[:3])}, …) and no ledger; "
            "give the ledger a database of its own"
        )
