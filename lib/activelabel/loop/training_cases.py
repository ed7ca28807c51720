"""The cases of a training, for learning and for validation: annotations of present, readable images."""

import logging
from dataclasses import replace

from activelabel.data.files.image_files import AnyImage
from activelabel.data.files.one_case import one_case
from activelabel.data.files.writing import Stamp
from activelabel.data.label_checking import check_label
from activelabel.data.preprocessing import check_prepared_size
from activelabel.data.volumes import read_grid
from activelabel.errors import InvalidInputError, NotReadyError, UnavailableError
from activelabel.project.images import Images
from activelabel.project.labels.kept import checked_file, sound_file
from activelabel.project.project import Project
from activelabel.project.setting_aside import set_aside, set_aside_unreadable
from activelabel.store.ledger import Ledger
from activelabel.store.records.images import Role
from activelabel.store.records.labels import Annotation
from activelabel.training.transforms import Case, check_slices

logger = logging.getLogger(__name__)


class AnnotatedCase(Case):
    """A case and the annotation of its label."""

    image_id: str
    role: Role


def usable_annotations(ledger: Ledger, role: Role) -> list[Annotation]:
    """Annotations of images of `role` that may be learnt from, are present and, as far as is known, readable.

    A label that a reviewer has returned is not among them; with `--conf review true`, neither is one that nobody has
    approved.

    A training case may be annotated on some slices only. A validation case must be annotated completely, so that its
    Dice is comparable between rounds.
    """
    to_learn = ledger.labels_to_learn(role)
    usable = ledger.usable({item.image_id for item in to_learn})
    labels = [item for item in to_learn if item.image_id in usable and item.slices != ()]
    return labels if role == "training" else [item for item in labels if item.slices is None]


def check_training_cases(ledger: Ledger) -> None:
    """Raise an error if there is no annotation to learn from.

    Raises:
        NotReadyError: no training case is annotated.
    """
    if not usable_annotations(ledger, "training"):
        raise _no_training_case(ledger)


def readable_annotations(project: Project, images: Images) -> list[Annotation]:
    """The `usable_annotations` of both roles, training cases first, without damaged cases.

    A case whose image or label cannot be read, or whose image and label do not match, is set aside in the ledger.
    Validation cases that are left out because only some of their slices are annotated are logged, and so are training
    cases that are validation cases under other names: these are left out. By
    `store.pool.used_to_learn` they are not counted as new either, so that no training is due for what none learns from.

    Raises:
        NotReadyError: no training case is left.
        UnavailableError: this process does not find the image of a case that the server sees. A model without it would
            leave its label new, so that the next training would be due at once.
    """
    ledger = project.ledger
    partial = [item.image_id for item in ledger.labels_to_learn("validation") if item.slices is not None]
    if partial:
        logger.warning("not used for validation, as only some slices are annotated: %s", ", ".join(partial))
    training, validation = (readable_of_role(project, role, images) for role in ("training", "validation"))
    if not training:
        raise _no_training_case(ledger)
    return _without_judges(training, validation) + validation


def _without_judges(training: list[Annotation], validation: list[Annotation]) -> list[Annotation]:
    """The training cases whose images do not, under other names, judge what is learnt."""
    judges = {item.image_sha256: item.image_id for item in validation if item.image_sha256 is not None}
    others = [item for item in training if item.image_sha256 not in judges]
    copies = [
        f"{item.image_id} has the voxels of the validation case '{judges[item.image_sha256]}'"
        for item in training
        if item.image_sha256 in judges
    ]
    if not others:
        raise NotReadyError(f"training: no training case is left, as {copies[0]}: save a label of another image first")
    for copy in copies:
        logger.warning("%s: it is not learnt from; remove one of them", copy)
    return others


def check_case(annotation: Annotation, project: Project, image: AnyImage) -> None:
    """Check that a label belongs to its current image and that both can be prepared; record nothing.

    Raises:
        InvalidInputError: the case cannot be used; the message names the case, and says what to do.
    """
    image_id = annotation.image_id
    with one_case(image_id):
        file = sound_file(annotation, project.labels_folder)
        grid = read_grid(image)
        check_prepared_size(grid, project.preprocessing, image_id)
        try:
            label = check_label(file, grid, project.labels, as_kept=True)
        except InvalidInputError as error:
            raise InvalidInputError(
                f"{image_id}: its label (version {annotation.version}, by {annotation.annotator}) cannot be used: "
                f"{error}; or draw it again"
            ) from error
        axis = project.ledger.image(image_id).slice_axis
        if annotation.slices and axis is not None:
            check_slices(annotation.file, annotation.slices, label.array.shape[axis])


def annotated_case(annotation: Annotation, project: Project, images: Images) -> AnnotatedCase:
    """The case of an annotation, in the form in which it is sent to the training processes."""
    image, files = project.ledger.image(annotation.image_id), images.image_files(annotation.image_id)
    is_told = image.content_sha256 is not None and files.path.is_file()  # the grid of a series is in all its files
    return {
        "image": files.as_json(),
        "label": str(project.labels_folder / annotation.file),
        "slices": None if annotation.slices is None else list(annotation.slices),
        "slice_axis": image.slice_axis,
        "image_id": annotation.image_id,
        "role": image.role,
        "content": f"{image.content_sha256} {read_grid(files).affine_ras.tolist()}" if is_told else None,
    }


def readable_of_role(project: Project, role: Role, images: Images) -> list[Annotation]:
    """The `usable_annotations` of a role without damaged cases, which are set aside in the ledger.

    Raises:
        UnavailableError: as `readable_annotations`.
    """
    hashed: dict[str, Stamp] = {}
    try:
        return [item for item in usable_annotations(project.ledger, role) if _is_sound(item, project, images, hashed)]
    finally:
        project.ledger.note_label_files(hashed)


def _is_sound(annotation: Annotation, project: Project, images: Images, hashed: dict[str, Stamp]) -> bool:
    """Whether a case can be learnt from; the stamp of its label goes into `hashed` if the file had to be hashed."""
    image_id, ledger = annotation.image_id, project.ledger
    if set_aside_unreadable(image_id, images, ledger, was_scored=False, preprocessing=project.preprocessing):
        if ledger.image(image_id).usable:
            raise UnavailableError(
                f"image '{image_id}' is annotated and is not found here, where cases are read for a training: put its "
                "file back; a worker needs the folder that the server has"
            )
        return False
    try:
        _, stamp = checked_file(annotation, project.labels_folder)
        if stamp is not None:
            hashed[annotation.file] = stamp
            size, modified, changed = stamp  # so that the next check does not hash it once more
            annotation = replace(annotation, file_size=size, file_modified_ns=modified, file_changed_ns=changed)
        check_case(annotation, project, images.image_files(image_id))
    except InvalidInputError as error:
        set_aside(image_id, error, ledger, images, project.labels_folder / annotation.file)
        return False
    return True


def _no_training_case(ledger: Ledger) -> NotReadyError:
    validation = len(usable_annotations(ledger, "validation"))
    waiting = ledger.count_waiting_for_review() if ledger.only_approved else 0
    return NotReadyError(
        "training: no training case is annotated yet"
        + (f" and approved: {waiting} finished labels wait for a review" if waiting else "")
        + (f" (of {validation} validation cases no training learns)" if validation else "")
        + ": save a label for one first"
    )
