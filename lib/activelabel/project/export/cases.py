"""The cases of an exported data set: images with a label that may be learnt from."""

from dataclasses import dataclass
from pathlib import Path

from activelabel.data.files.image_files import ImageFiles
from activelabel.project.images import Images
from activelabel.project.labels.kept import sound_file
from activelabel.project.project import Project
from activelabel.store.records.images import Role
from activelabel.store.records.labels import Annotation


@dataclass(frozen=True)
class ExportedCase:
    """An image with its label.

    Attributes:
        name: the id of the image, by which files are named.
        role: for training or for validation.
        patient: whose image it is; the image's own id where the patient is unknown.
        image: its files, or the folder of its series.
        label: the file of its label, which was compared with its SHA-256.
        annotation: the label in the ledger.
        axis: the axis along which its slices are counted; None if they never were.
    """

    name: str
    role: Role
    patient: str
    image: ImageFiles
    label: Path
    annotation: Annotation
    axis: int | None

    @property
    def is_partial(self) -> bool:
        """Whether only some slices are annotated."""
        return self.annotation.slices is not None


def exported_cases(project: Project, images: Images) -> list[ExportedCase]:
    """The cases of a project that have a label to learn from, sorted by image.

    Raises:
        InvalidInputError: the file of a label is gone or was changed.
    """
    known = {image.id: image for image in project.ledger.images() if image.usable}
    return [
        ExportedCase(
            name=label.image_id,
            role=known[label.image_id].role,
            patient=known[label.image_id].patient or label.image_id,
            image=images.image_files(label.image_id),
            label=sound_file(label, project.labels_folder),
            annotation=label,
            axis=known[label.image_id].slice_axis,
        )
        for label in project.ledger.labels_to_learn()
        if label.image_id in known
    ]
