"""The images of a run, in a folder that nobody else changes, and the labels that are saved for them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from activelabel.annotation.archive import open_archive
from activelabel.annotation.label_info import LabelInfo
from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.studies_folder import find_images
from activelabel.data.volumes import read_grid
from activelabel.errors import InvalidInputError
from activelabel.project.given.roles import given_roles
from activelabel.project.project import Project
from activelabel.project.readability import note_image
from activelabel.project.setting_aside import readmit_mended, set_aside_unreadable
from activelabel.store.records.labels import FINAL


class PoolImages:
    """Finds the images of a project's folder, as a server does, and keeps labels in its archive."""

    def __init__(self, studies: Path, project: Project) -> None:
        """Record the images that the folder has now, and look again at those that were set aside.

        Raises:
            InvalidInputError: a given split or given patients do not go with the images.
        """
        self._project, ledger = project, project.ledger
        self._archive = open_archive(project)
        content = find_images(studies, links_out=project.settings.links_out_of_studies, layout=project.layout)
        split, patients = given_roles(project.settings, ledger, content.files)
        self._content = content if patients is None else patients.known_only(content)
        ledger.sync_images(
            [*self._content.files],
            project.recipe.training.validation_cases,
            {} if patients is None else patients.of_all(self._content.files),
            None if split is None else split.is_validation,
        )
        readmit_mended(ledger, self._files, self._archive.file, at_start=True)

    def image_files(self, image_id: str) -> ImageFiles:
        """The files of an image; of an unknown id none that exists."""
        return self._files(image_id) or ImageFiles(Path())

    def _files(self, image_id: str) -> ImageFiles | None:
        if image_id not in self._content.files:
            return None
        folder = os.path.realpath(self._content.folder)
        return self._content.layout.files(os.path.join(folder, self._content.files[image_id]))

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """The information about an image: nothing is known of a file in a folder."""
        return {}

    def save(self, image_id: str, file: Path, annotator: str, info: Mapping[str, Any]) -> None:
        """Keep a finished label with the params of a client.

        Raises:
            InvalidInputError: the label cannot be kept, or its image can no longer be read, which is set aside.
        """
        image, ledger = self.image_files(image_id), self._project.ledger
        try:
            grid = read_grid(image)
        except InvalidInputError as error:
            set_aside_unreadable(image_id, self, ledger, was_scored=True)
            raise InvalidInputError(f"{error}; it is set aside, ask for another") from error
        note_image(image_id, image, ledger)
        names = tuple(str(entry["name"]) for entry in info.get("label_info", [])) or None
        self._archive.keep(image_id, FINAL, file, grid, LabelInfo(annotator, names, info.get("annotated_slices")))
        if ledger.image(image_id).unreadable_reason is not None:
            ledger.mark_readable(image_id)  # it was just read, and the label fits it
