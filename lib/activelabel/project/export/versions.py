"""The label versions, drafts and shown masks that go along with an exported data set, so that it can be imported."""

import shutil
from collections.abc import Collection
from pathlib import Path

from activelabel.data.files.other_names import VERSIONS
from activelabel.data.files.studies_folder import LABEL_ENDING
from activelabel.project.models.shown_masks import shown_masks
from activelabel.project.project import Project

SHOWN = "shown"
"""The folder, below that of an image's versions, of the masks that models showed: `MODEL.nii.gz`."""


def write_versions(project: Project, without: Collection[str], out: Path) -> None:
    """Copy the files of all label versions and drafts, and all shown masks, below `VERSIONS` of the data set.

    `without` are the files that the data set has as they are. A file that is gone is left out: the audit trail names it
    all the same.
    """
    for file in project.ledger.label_files():
        source = project.labels_folder / file
        if file not in without and source.is_file():
            _copy(source, out / VERSIONS / file)
    for image in project.ledger.images():
        for model, mask in shown_masks(project.predictions_folder / image.id):
            _copy(mask, out / VERSIONS / image.id / SHOWN / f"{model}{LABEL_ENDING}")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
