"""Pseudo-labels in the project folder: drawn once per image and reused by later trainings and scorings."""

import logging
import shutil
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from activelabel.data.files.image_files import AnyImage, ImageFiles
from activelabel.data.files.state import is_made_from, note_made_from, state_of
from activelabel.data.files.writing import write_atomically
from activelabel.data.label_checking import write_label
from activelabel.data.modality import Modality, ModalityChoice, choose_modality, series_modality
from activelabel.data.volumes import Volume, read_volume
from activelabel.project.project import Project
from activelabel.recipes import ProxySettings
from activelabel.training.pseudo_labels import pseudo_label

logger = logging.getLogger(__name__)

SETTINGS_FILE = "settings.json"


class _Drawn(BaseModel):
    """The settings by which pseudo-labels were drawn."""

    model_config = ConfigDict(frozen=True)

    modality: ModalityChoice
    project: Modality | None
    window_hu: float
    level_hu: float


class PseudoLabelFiles:
    """A folder with `IMAGE.nii.gz` for each image that has a pseudo-label, and the settings of these."""

    def __init__(self, folder: Path, settings: ProxySettings, project: Modality | None = None) -> None:
        """Create `folder`, and remove pseudo-labels in it that were drawn by other settings.

        `project` is the modality of the images that have no DICOM tag for it.
        """
        self._folder = folder
        self._settings = _Drawn(project=project, **settings.model_dump(include=set(_Drawn.model_fields)))
        settings_json, file = self._settings.model_dump_json(indent=1), folder / SETTINGS_FILE
        if file.is_file() and file.read_text(encoding="utf-8") == settings_json:
            return
        if folder.exists():
            logger.info("the pseudo-labels are drawn again: their settings have changed")
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        write_atomically(file, settings_json.encode())

    def __contains__(self, image_id: str) -> bool:
        """Whether a pseudo-label of this image was drawn."""
        return self._file(image_id).is_file()

    def find(self, image_id: str, image: AnyImage) -> Path:
        """The pseudo-label of an image; drawn now if there is none, or if a file of `image` has changed since.

        The file is written completely or not at all.

        Raises:
            InvalidInputError: no voxel or every voxel is foreground, the modality is unknown, or the image cannot
                be read.
        """
        file, settings = self._file(image_id), self._settings
        files = ImageFiles.of(image)
        if is_made_from(file, files):
            return file
        state = state_of(files)
        volume = read_volume(image)
        mask = pseudo_label(volume, self._modality(volume), settings.window_hu, settings.level_hu)
        write_label(file, mask.astype(np.uint8), volume.affine_ras)
        note_made_from(file, state)
        return file

    def _modality(self, volume: Volume) -> Modality:
        choice, tag = self._settings.modality, _series_modality(volume.path)
        return choose_modality(volume.array, choice, tag, self._settings.project)

    def _file(self, image_id: str) -> Path:
        return self._folder / f"{image_id}.nii.gz"


def pseudo_label_files(project: Project, settings: ProxySettings) -> PseudoLabelFiles:
    """The pseudo-label files of a project, with its modality."""
    modality = project.modality or project.fixed_modality()
    kind = None if modality is None else modality.kind_of(project.layout.shown)
    return PseudoLabelFiles(project.pseudo_labels_folder, project.proxy_settings(settings), kind)


def _series_modality(image: Path) -> str | None:
    """The DICOM modality of an image that is a series, or was converted from the series in the folder of its name."""
    if image.is_dir():
        return series_modality(image)
    series = image.with_name(image.name.removesuffix(".nii.gz"))
    return series_modality(series) if any(series.glob("*.dcm")) else None
