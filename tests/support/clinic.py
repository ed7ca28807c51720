"""A project of four small images, of which three are labelled: for tests of exports and imports."""

from datetime import datetime, timezone
from pathlib import Path

import SimpleITK
from small_studies import TINY_RECIPE, boxes, write_image, write_nifti

from activelabel.annotation.archive import open_archive
from activelabel.annotation.label_info import LabelInfo
from activelabel.data.volumes import read_grid
from activelabel.project.export.folder_images import FolderImages
from activelabel.project.export.writing import Exported, export_dataset
from activelabel.project.opening import open_project

NAMES = ("a", "b", "c", "d")
NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
PATIENTS = {"a": "SMITH^ANN", "b": "SMITH^ANN", "c": "JONES^BOB"}


class Clinic:
    """Four images, of which `b` is no NIfTI: a, b and c are labelled, c on slices 2 and 5 only."""

    def __init__(self, folder: Path, **conf: str) -> None:
        self.folder, self.studies = folder, folder / "studies"
        self.studies.mkdir()
        for number, name in enumerate(NAMES):
            write_image(self.studies / f"{name}.nii.gz", number)
        SimpleITK.WriteImage(SimpleITK.ReadImage(self.studies / "b.nii.gz"), self.studies / "b.mha")
        (self.studies / "b.nii.gz").unlink()
        settings = {"recipe": str(TINY_RECIPE), "labels": "ball,box", "modality": "ct", **conf}
        self.project = open_project("app", str(self.studies), settings)
        self.ledger = self.project.ledger
        self.now = NOON
        self.ledger._clock = lambda: self.now
        self.ledger.sync_images(NAMES, 0, PATIENTS, lambda image_id: image_id in ("a", "b"))
        self.archive = open_archive(self.project)
        self.images = FolderImages(self.project)
        self.draw("a", "ann", annotated_slices="all")
        self.draw("b", "ann", annotated_slices="all")
        self.draw("c", "bob", annotated_slices=[2, 5])

    def draw(self, image: str, who: str, **info: object) -> None:
        file = write_nifti(self.folder / "sent.nii.gz", boxes(1, 2))
        grid = read_grid(self.images.image_files(image))
        self.archive.keep(image, "final", file, grid, LabelInfo(who, finished=True, confirmed=True, **info))

    def export(self, layout: str) -> Path:
        out = self.folder / layout
        assert export_dataset(self.project, self.images, out, layout) == Exported(1, 2, 1)
        return out
