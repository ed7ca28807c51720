"""The database of a project's ledger: from the settings, a file that they name, or the environment."""

from collections.abc import Mapping
from pathlib import Path

from activelabel.errors import InvalidInputError
from activelabel.project.settings import Settings
from activelabel.store.connection.location import checked_url

DATABASE_URL = "ACTIVELABEL_DATABASE_URL"
"""The environment variable that may hold the database URL with its password."""


def database_url(settings: Settings, environment: Mapping[str, str]) -> str:
    """The URL of the ledger's database from the settings, the file that they name, or the environment; empty for none.

    A password in a setting would be visible in the process list, in the host's log and in its task information.

    Raises:
        InvalidInputError: two sources have a URL, the file cannot be read, or a setting has a password.
    """
    given = {
        "--conf database_url": settings.database_url,
        "--conf database_url_file": _read_secret(settings.database_url_file),
        DATABASE_URL: environment.get(DATABASE_URL, ""),
    }
    named = [place for place, url in given.items() if url]
    if len(named) > 1:
        raise InvalidInputError(f"{' and '.join(named)}: both name the database of the ledger: leave one out")
    if settings.database_url and checked_url(settings.database_url).password is not None:
        raise InvalidInputError(
            "--conf database_url: it holds a password, which the list of processes would show: put the URL into the "
            f"environment as {DATABASE_URL}, or into a file that --conf database_url_file names"
        )
    return given[named[0]] if named else ""


def _read_secret(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"--conf database_url_file {file}: cannot be read ({error}): name another") from error
    if not text or "\n" in text:
        raise InvalidInputError(f"--conf database_url_file {file}: expected one line, the URL of a database")
    return text
