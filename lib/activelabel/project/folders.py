"""The folders of a project."""

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

from activelabel.data.files.folder_reading import PROJECT_FOLDER
from activelabel.project.settings import Settings
from activelabel.project.studies import is_pacs

VIEW = "view"
"""The subfolder of a project that is not beside its images, for the files that would be written beside them."""


def project_folder(app_dir: str, studies: str, settings: Settings) -> Path:
    """The folder of a project: from the settings, else the default."""
    return (settings.project_dir or default_folder(app_dir, studies)).resolve()


def view_folder(folder: Path, studies: str) -> Path:
    """The folder of the host's listing and labels: beside the images if the project's `folder` is there.

    A project elsewhere writes nothing beside the images, which may be on a read-only disk.
    """
    if not is_pacs(studies) and folder.is_relative_to(Path(studies).resolve()):
        return Path(studies)
    return folder / VIEW


def default_folder(app_dir: str, studies: str) -> Path:
    """The default folder: beside the images; for a PACS, below the app's folder of models, one folder per address."""
    if not is_pacs(studies):
        return Path(studies) / PROJECT_FOLDER
    address = urlsplit(studies.rstrip("/"))
    name = f"{address.hostname}-{hashlib.sha256(address.geturl().encode()).hexdigest()[:8]}"
    return Path(app_dir) / "model" / name
