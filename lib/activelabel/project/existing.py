"""Finds the ledger of an existing project, for the commands."""

import os
from collections.abc import Mapping

from activelabel.data.files.folder_reading import LEDGER_FILE
from activelabel.errors import InvalidInputError
from activelabel.project.database_url import database_url
from activelabel.project.folders import project_folder
from activelabel.project.settings import parse_settings
from activelabel.project.studies import require_studies
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger


def existing_ledger(app_dir: str, studies: str, conf: Mapping[str, str]) -> Ledger:
    """The ledger of the project that a server has begun on these studies.

    Only the settings that say where the ledger is are used.

    Raises:
        InvalidInputError: there is no folder of images, no server has begun a project, or settings are wrong; the
            message says which.
    """
    settings = parse_settings(conf)
    folder = project_folder(app_dir, studies, settings)
    url = database_url(settings, os.environ)
    if not url and not (folder / LEDGER_FILE).is_file():
        require_studies(studies)
        raise InvalidInputError(
            f"--studies {studies}: expected a project in {folder}, got no {LEDGER_FILE} there: start the server first, "
            "or say with --conf project_dir DIR or --conf database_url URL where it is"
        )
    return Ledger(url or sqlite_url(folder / LEDGER_FILE))
