"""Where a project keeps what it keeps."""

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

from activelabel.data.files.studies_folder import PROJECT_FOLDER
from activelabel.project.settings import Settings
from activelabel.project.studies import is_pacs

VIEW = "view"
"""Below the folder of a project that is not beside its images: what would else be written there."""


def project_folder(app_dir: str, studies: str, settings: Settings) -> Path:
    """Where a project keeps what it keeps."""
    return (settings.project_dir or default_folder(app_dir, studies)).resolve()


def view_folder(folder: Path, studies: str) -> Path:
    """Where the host's listing and labels are of a project in `folder`: beside the images if that is among them.

    A project elsewhere writes nothing beside the images, which may be on a disk that cannot be written.
    """
    if not is_pacs(studies) and folder.is_relative_to(Path(studies).resolve()):
        return Path(studies)
    return folder / VIEW


def default_folder(app_dir: str, studies: str) -> Path:
    """Beside the images; for a PACS, in the app's own folder for models, one folder an address."""
    if not is_pacs(studies):
        return Path(studies) / PROJECT_FOLDER
    address = urlsplit(studies.rstrip("/"))
    name = f"{address.hostname}-{hashlib.sha256(address.geturl().encode()).hexdigest()[:8]}"
    return Path(app_dir) / "model" / name
