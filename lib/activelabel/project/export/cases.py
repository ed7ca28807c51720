"""The cases of an exported data set: images with a label that may be learnt from."""

from dataclasses import dataclass
from pathlib import Path

from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.one_case import one_case
from activelabel.data.files.state import FileState, state_of
from activelabel.data.label_checking import check_kept_grid
from activelabel.data.volumes import read_grid, read_volume
from activelabel.errors import InvalidInputError
from activelabel.project.images import Images
from activelabel.project.labels.kept import sound_file
from activelabel.project.project import Project
from activelabel.project.readability import content_sha256, has_changed, require_same_image
from activelabel.store.records.images import Image, Role
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
        state: the state of its image's files when they were compared with what the label was drawn on.
    """

    name: str
    role: Role
    patient: str
    image: ImageFiles
    label: Path
    annotation: Annotation
    axis: int | None
    state: FileState

    @property
    def is_partial(self) -> bool:
        """Whether only some slices are annotated."""
        return self.annotation.slices is not None


def exported_cases(project: Project, images: Images) -> tuple[list[ExportedCase], list[str]]:
    """The cases of a project that have a label to learn from, sorted by image, and why others that have one are left
    out.

    A case is left out if it was set aside, if the file of its label was changed, or if its image is not the one on
    which the label was drawn: nobody may learn from these two together.
    """
    known = {image.id: image for image in project.ledger.images() if image.present}
    cases: list[ExportedCase] = []
    left_out: list[str] = []
    for label in project.ledger.labels_to_learn():
        if label.image_id in known:
            try:
                cases.append(_sound_case(label, known[label.image_id], project, images))
            except InvalidInputError as error:
                left_out.append(str(error))
    return cases, left_out


def _sound_case(label: Annotation, image: Image, project: Project, images: Images) -> ExportedCase:
    if not image.usable:
        reason = str(image.unreadable_reason)
        raise InvalidInputError(reason if reason.startswith(image.id) else f"{image.id}: {reason}")
    files, file = images.image_files(image.id), sound_file(label, project.labels_folder)
    with one_case(image.id):
        state = state_of(files)
        if has_changed(image, files):
            require_same_image(label, content_sha256(read_volume(files)))
        else:
            require_same_image(label, image.content_sha256)
        _check_grid(label, file, files)
    return ExportedCase(
        name=image.id,
        role=image.role,
        patient=image.patient or image.id,
        image=files,
        label=file,
        annotation=label,
        axis=image.slice_axis,
        state=state,
    )


def _check_grid(label: Annotation, file: Path, image: ImageFiles) -> None:
    try:
        check_kept_grid(file, read_grid(image))
    except InvalidInputError as error:
        raise InvalidInputError(f"{label.image_id}: {error}; or draw it again") from error
