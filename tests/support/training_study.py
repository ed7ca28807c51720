"""A project over a folder of tiny volumes, annotated and trained on as the host does it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from recorded import record_annotation
from sqlalchemy import update

from activelabel.data.files.image_files import ImageFiles
from activelabel.loop.training.segmentation import SegmentationTraining
from activelabel.project.project import Project
from activelabel.store.schema.labels import AnnotationRow
from activelabel.training.checkpoints import load_model

TINY = Path(__file__).parent / "tiny.toml"


@dataclass
class Study:
    """A project over a folder of blobs, with the part of a datastore that training uses."""

    project: Project
    studies: Path
    labels: Path

    def get_image_uri(self, image_id: str) -> str:
        return str(self.studies / f"{image_id}.nii.gz")

    def image_files(self, image_id: str) -> ImageFiles:
        return self.project.layout.files(self.get_image_uri(image_id))

    def ids(self, role: str) -> list[str]:
        return [image.id for image in self.project.ledger.images() if image.role == role]

    def annotate(self, *image_ids: str, slices: list[int] | None = None) -> list[int]:
        """Keep the true labels of these images as annotations, and return the annotations' ids."""
        self.project.labels_folder.mkdir(exist_ok=True)
        made = []
        for image_id in image_ids:
            file = self.project.labels_folder / f"{image_id}.nii.gz"
            file.write_bytes((self.labels / file.name).read_bytes())
            sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
            annotation = record_annotation(self.project.ledger, image_id, file.name, sha256, "reader", slices=slices)
            made.append(annotation.id)
        return made

    def believe(self, image_id: str) -> None:
        """Record the current file of a label as the kept one, whatever changed it."""
        file = self.project.labels_folder / f"{image_id}.nii.gz"
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        with self.project.ledger._writing() as session:
            session.execute(
                update(AnnotationRow)
                .where(AnnotationRow.file == file.name)
                .values(sha256=sha256, file_size=None, file_modified_ns=None)
            )

    def train(self, **request: Any) -> dict[str, Any]:
        return SegmentationTraining(self.project).run({"model": "segmentation", **request}, self)

    def set_slices(self, axis: int, count: int) -> None:
        """Set for all images the axis and the number of their slices."""
        for image in self.project.ledger.images():
            self.project.ledger.fix_slices(image.id, axis, (count,) * 3)

    def published_weights(self) -> dict[str, torch.Tensor]:
        """Return the weights of the model that was published last."""
        file = self.project.models_folder / self.project.ledger.latest_model().file
        return load_model(file, self.project.model_description).state_dict()

    def finished_run(self) -> Path:
        (folder,) = self.project.runs_folder.glob("*_model_1")
        return folder

    def published_files(self) -> list[Path]:
        return list(self.project.models_folder.glob("*"))
