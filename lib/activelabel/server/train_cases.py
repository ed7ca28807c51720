"""What a training learns from and is judged by: annotations of images that are there and readable."""

import logging

from monailabel.interfaces.datastore import Datastore

from activelabel.errors import NotReadyError
from activelabel.server.project import Project
from activelabel.server.readability import set_aside_unreadable
from activelabel.store.ledger import Ledger
from activelabel.store.records import Annotation, Role
from activelabel.training.transforms import Case

logger = logging.getLogger(__name__)


class AnnotatedCase(Case):
    """A case, and whose annotation its label is."""

    image_id: str
    role: Role


def usable_annotations(ledger: Ledger, role: Role) -> list[Annotation]:
    """Annotations of images of `role` that are there and readable, as far as is known.

    Of a training case some slices may be annotated. A validation case judges only as a whole: what it is like in one
    round would otherwise be another thing in the next.
    """
    usable = {image.id for image in ledger.images() if image.usable}
    there = [item for item in ledger.annotations(role) if item.image_id in usable and item.slices != ()]
    return there if role == "training" else [item for item in there if item.slices is None]


def check_training_cases(ledger: Ledger) -> None:
    """Whether there is anything to learn from.

    Raises:
        NotReadyError: no training case is annotated.
    """
    if not usable_annotations(ledger, "training"):
        raise _no_training_case(ledger)


def readable_annotations(ledger: Ledger, datastore: Datastore) -> list[Annotation]:
    """`usable_annotations`, those of training cases first, without images that turn out to be damaged.

    Those are recorded as such in the ledger, and the rest goes on. Validation cases that are passed over because only
    some of their slices are annotated are named in the log.

    Raises:
        NotReadyError: no training case is left.
    """
    partial = [item.image_id for item in ledger.annotations("validation") if item.slices is not None]
    if partial:
        logger.warning("not used for validation, as only some slices are annotated: %s", ", ".join(partial))
    training, validation = (readable_of_role(ledger, role, datastore) for role in ("training", "validation"))
    if not training:
        raise _no_training_case(ledger)
    return training + validation


def annotated_case(annotation: Annotation, project: Project, datastore: Datastore) -> AnnotatedCase:
    """The case of an annotation, as it travels to the processes that train."""
    image = project.ledger.image(annotation.image_id)
    return {
        "image": datastore.get_image_uri(annotation.image_id),
        "label": str(project.labels_folder / annotation.file),
        "slices": None if annotation.slices is None else list(annotation.slices),
        "slice_axis": image.slice_axis,
        "image_id": annotation.image_id,
        "role": image.role,
    }


def readable_of_role(ledger: Ledger, role: Role, datastore: Datastore) -> list[Annotation]:
    """`usable_annotations` without images that turn out to be damaged, which are recorded as such in the ledger."""
    return [
        item
        for item in usable_annotations(ledger, role)
        if not set_aside_unreadable(item.image_id, datastore, ledger, was_scored=False)
    ]


def _no_training_case(ledger: Ledger) -> NotReadyError:
    validation = len(usable_annotations(ledger, "validation"))
    return NotReadyError(
        "training: no training case is annotated yet"
        + (f" (of {validation} validation cases no training learns)" if validation else "")
        + ": save a label for one first"
    )
