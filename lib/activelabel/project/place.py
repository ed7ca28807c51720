"""Where a project is, as its server writes it into the ledger: a worker that knows the ledger finds the rest."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from activelabel import __version__
from activelabel.errors import NotReadyError
from activelabel.project.project import Project
from activelabel.project.studies import is_pacs
from activelabel.store.ledger import Ledger

FACT = "place"
NOT_FOR_WORKERS = frozenset(
    {"database_url", "database_url_file", "project_dir", "device", "splits", "patients", "server_mode"}
)
"""Settings of the server that a worker has from elsewhere, or does not need."""


@dataclass(frozen=True)
class Place:
    """A project for a worker: addresses as the server has them, settings, and the text of a recipe of the user's own.

    Attributes:
        studies: the folder of the images, or the address of a PACS.
        folder: the folder of the project, with its models.
        conf: the settings of the server, without those of `NOT_FOR_WORKERS`.
        recipe: the content of the recipe's file; None for a recipe that comes with the package.
        version: that of the server's package; empty for one that did not write it.
    """

    studies: str
    folder: str
    conf: Mapping[str, str]
    recipe: str | None = None
    version: str = ""


def write_place(project: Project, conf: Mapping[str, str]) -> None:
    """Record where a project is, for workers, unless the ledger says so already."""
    studies = project.studies if is_pacs(project.studies) else str(Path(project.studies).resolve())
    file = Path(project.settings.recipe)
    recipe = file.read_text(encoding="utf-8") if file.suffix == ".toml" and file.is_file() else None
    kept = {key: value for key, value in conf.items() if key not in NOT_FOR_WORKERS}
    text = json.dumps(asdict(Place(studies, str(project.folder), kept, recipe, __version__)), sort_keys=True)
    known = project.ledger.fact(FACT)
    if known is None or known.value != text:
        project.ledger.fix_fact(FACT, text, "as its server was started", again=True)


def read_place(ledger: Ledger) -> Place:
    """Where the project of a ledger is.

    Raises:
        NotReadyError: no server has begun a project in this ledger, or only one of an older version.
    """
    known = ledger.fact(FACT)
    if known is None:
        raise NotReadyError(
            f"ledger {ledger.shown_url}: it does not say where its project is: start the project's server once"
        )
    written: dict[str, Any] = json.loads(known.value)
    names = {field.name for field in fields(Place)}  # a server of another version may have written more
    return Place(**{name: value for name, value in written.items() if name in names})
