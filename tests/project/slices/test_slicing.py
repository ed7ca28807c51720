"""The number of slices of each image is known before a slice is asked for."""

from pathlib import Path

import pytest
from small_studies import SHAPE, write_image

from activelabel.data.files.image_files import ImageFiles
from activelabel.errors import NotFoundError
from activelabel.project.opening import open_project
from activelabel.project.slices.slicing import count_slices


class Pacs:
    """A PACS whose first series was removed a moment ago and is still listed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def image_files(self, image_id: str) -> ImageFiles:
        if image_id == "a":
            raise NotFoundError("the PACS has no series a: it may have been removed")
        return ImageFiles(self._folder / f"{image_id}.nii.gz")


def test_a_series_that_was_just_removed_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_image(tmp_path / "b.nii.gz")
    project = open_project("app", str(tmp_path), {"labels": "ball", "project_dir": str(tmp_path / "project")})
    project.ledger.sync_images("ab", validation_cases=0)
    count_slices(project, Pacs(tmp_path))
    counts = {image.image_id: image.slice_count for image in project.ledger.slice_pool()}
    assert counts == {"a": None, "b": SHAPE[2]}  # neither counted nor set aside: the datastore will notice the removal
    assert "the slices of a are not counted: the PACS has no series a" in caplog.text
