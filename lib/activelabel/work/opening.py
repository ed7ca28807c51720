"""Opens the project of a ledger for a worker, which has perhaps no other access to it than the database."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from activelabel import __version__
from activelabel.data.files.folder_reading import LEDGER_FILE
from activelabel.errors import InvalidInputError
from activelabel.names import APP_FOLDER
from activelabel.project.database_url import DATABASE_URL
from activelabel.project.opening import open_project
from activelabel.project.place import Place, read_place
from activelabel.project.project import Project
from activelabel.project.studies import is_pacs, require_answer
from activelabel.store.connection.location import checked_url, sqlite_url
from activelabel.store.ledger import Ledger

RECIPE_FILE = "recipe.toml"


@dataclass(frozen=True)
class Wanted:
    """What a worker is started with; empty fields are what the server has written into the ledger.

    Attributes:
        database_url: the URL of the ledger, with its password.
        studies: where the images are on this machine, or the address of a PACS.
        folder: where the project's folder is on this machine.
        server: the address of the server, to fetch images and models from it.
        token_file: a file that holds the token for the server.
        device: where networks run.
    """

    database_url: str = field(repr=False)
    studies: str = ""
    folder: str = ""
    server: str = ""
    token_file: str = ""
    device: str = "auto"


def ledger_url(given: str, project: Path | None, environment: Mapping[str, str]) -> str:
    """The URL of the ledger from the options of a command line, or from the environment.

    Raises:
        InvalidInputError: there is none or more than one, it holds a password, or the folder holds no project.
    """
    if given and project is not None:
        raise InvalidInputError("--database-url and --project: both name the ledger: leave one out")
    if project is not None:
        file = project / LEDGER_FILE
        if not file.is_file():
            raise InvalidInputError(
                f"--project {project}: expected the folder of a project, got no {LEDGER_FILE} there"
            )
        return sqlite_url(file.resolve())
    if given and checked_url(given).password is not None:
        raise InvalidInputError(
            "--database-url: it holds a password, which the list of processes would show: put the URL into the "
            f"environment as {DATABASE_URL}"
        )
    url = given or environment.get(DATABASE_URL, "").strip()  # a secret made of a file ends its line
    if not url:
        raise InvalidInputError(
            f"no ledger is named: give --database-url URL, --project DIR, or {DATABASE_URL} in the environment"
        )
    return url


def open_work(wanted: Wanted, own: Path) -> Project:
    """The project of a ledger, as its server has opened it, with the worker's own device and places.

    Args:
        wanted: what the worker is started with.
        own: an empty folder, which goes when the worker ends: for the recipe, and for models and prepared images of a
            worker that sees no folder of the project.

    Raises:
        NotReadyError: no server has begun the project.
        InvalidInputError: the server is of another version, its folder or images are not there, or settings do not fit.
    """
    ledger = Ledger(wanted.database_url)
    if not ledger.exists():
        raise InvalidInputError(f"ledger {ledger.shown_url}: there is no such file: start the project's server first")
    ledger.require_newest()
    place = require_version_of_server(ledger)
    ledger.close()
    conf = {**place.conf, "device": wanted.device}
    if place.recipe is not None:
        (own / RECIPE_FILE).write_text(place.recipe, encoding="utf-8")
        conf["recipe"] = str(own / RECIPE_FILE)
    conf["project_dir"] = str(own) if wanted.server else _project_folder(wanted, place)
    if wanted.server:
        conf.pop("prepared_dir", None)  # a path of the server's machine; patients' images would stay behind on this one
    studies = wanted.studies or place.studies
    if not wanted.server:
        require_answer(studies)
    if not wanted.server and not is_pacs(studies) and not Path(studies).is_dir():
        raise InvalidInputError(
            f"the images are in {studies} on the server's machine, and here is no such folder: name theirs with "
            "--studies, or fetch images from the server with --server"
        )
    project = open_project(str(APP_FOLDER), studies, conf, {DATABASE_URL: wanted.database_url})
    return replace(project, folder_goes=bool(wanted.server))


def require_version_of_server(ledger: Ledger) -> Place:
    """Where the project is, of a server of this version.

    Raises:
        NotReadyError: no server has begun the project.
        InvalidInputError: the server is of another version.
    """
    place = read_place(ledger)
    if place.version != __version__:
        raise InvalidInputError(
            f"ledger {ledger.shown_url}: its server is activelabel {place.version or 'of an earlier version'}, "
            f"and this worker is {__version__}, which may score otherwise: use the same version"
        )
    return place


def _project_folder(wanted: Wanted, place: Place) -> str:
    folder = Path(wanted.folder or place.folder)
    if not folder.is_dir():
        raise InvalidInputError(
            f"the project is in {folder} on the server's machine, and here is no such folder: name it with "
            "--project-dir, or fetch models from the server with --server"
        )
    return str(folder)
