"""What a project keeps of its images and can make again, and which goes with an image that is gone."""

import logging
from collections.abc import Collection
from pathlib import Path

from activelabel.data.files.state import noted_beside
from activelabel.data.files.studies_folder import LABEL_ENDING
from activelabel.errors import InvalidInputError
from activelabel.prediction.prepared.images import PreparedImages
from activelabel.project.given.channel_files import SHOWN
from activelabel.project.models.features import forget_features
from activelabel.project.models.kept_maps import KeptMaps
from activelabel.project.project import FEATURES, MAPS, PSEUDO_LABELS

logger = logging.getLogger(__name__)


def forget_copies(gone: Collection[str], project_folder: Path, prepared: PreparedImages) -> None:
    """Remove maps, shown channels, pseudo-labels, features and prepared images of images that are gone.

    Labels, and masks that models showed, are records of what annotators did, and stay.
    """
    maps = KeptMaps(project_folder / MAPS)
    for image_id in gone:
        maps.forget(image_id)
        name = f"{image_id}{LABEL_ENDING}"
        folders = (project_folder / PSEUDO_LABELS, *(project_folder / SHOWN).glob("*/"))
        for file in (folder / name for folder in folders):
            try:
                file.unlink(missing_ok=True)
                noted_beside(file).unlink(missing_ok=True)
            except OSError as error:
                logger.warning("%s, of an image that is gone, cannot be removed: %s", file, error)
    try:
        forget_features(project_folder / FEATURES, gone)
    except (InvalidInputError, OSError) as error:
        logger.warning("features of images that are gone cannot be removed: %s", error)
    prepared.tidy()
