"""Checks every file of a project against the ledger by reading it completely. Nothing is changed."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from activelabel.data.files.digest import file_sha256
from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.one_case import one_case
from activelabel.data.files.studies_folder import find_images
from activelabel.data.volumes import read_volume
from activelabel.errors import ActiveLabelError
from activelabel.project.labels.kept import sound_file
from activelabel.project.labels.record_files import read_record
from activelabel.project.listing import listed_files
from activelabel.project.project import Project
from activelabel.project.readability import content_sha256, require_same_image
from activelabel.project.studies import is_pacs, require_studies
from activelabel.store.records.images import Image
from activelabel.store.records.labels import Annotation, Draft
from activelabel.store.records.models import ModelVersion

Check = Callable[[], Sequence[str]]
"""A check of one file; returns a line for each fault, which says what to do."""


def checks_of(project: Project) -> list[Check]:
    """A check of each image, of each version of each label and draft, and of each model that the ledger knows.

    The images of a PACS are not checked.
    """
    ledger = project.ledger
    labels: dict[str, Annotation | Draft] = {}
    for image in ledger.images():
        labels |= {draft.file: draft for draft in ledger.draft_history(image.id)}
        labels |= {label.file: label for label in ledger.history(image.id)}  # one tag of each file
    models = [*ledger.models("task"), *ledger.models("proxy")]
    return [
        *_image_checks(project),
        *(partial(_check_label, label, project.labels_folder) for _, label in sorted(labels.items())),
        *(partial(_check_model, model, project.models_folder) for model in models),
    ]


def _image_checks(project: Project) -> list[Check]:
    if is_pacs(project.studies):
        return []
    studies, ledger = Path(project.studies), project.ledger
    require_studies(project.studies)
    known = listed_files(project.view_folder) or listed_files(studies)
    found = find_images(studies, known, links_out=project.settings.links_out_of_studies, layout=project.layout)
    images = {image.id: image for image in ledger.images()}
    gone = sorted(image.id for image in images.values() if image.present and image.id not in found.files)
    return [
        *(partial(_check_image, images.get(id_), id_, found.image(id_), project) for id_ in found.files),
        *(partial(_report_missing_image, image_id, ledger.history(image_id)) for image_id in gone),
    ]


def _check_image(image: Image | None, image_id: str, files: ImageFiles, project: Project) -> Sequence[str]:
    """Check that an image can be read, and is the one that was read first and on which its label was drawn."""
    try:
        with one_case(image_id):
            content = content_sha256(read_volume(files))
        label = None if image is None else project.ledger.current_annotation(image_id)
        if label is not None:
            require_same_image(label, content)
    except ActiveLabelError as error:
        return [str(error)]
    if image is not None and image.content_sha256 not in (None, content):
        advice = "put the earlier file back, or start the server, which reads it anew: nothing was drawn on it"
        return [f"{image_id}: the image is not the one that was read first (its SHA-256 differs): {advice}"]
    return []


def _report_missing_image(image_id: str, labels: Collection[Annotation]) -> Sequence[str]:
    kept = f"; {len(labels)} versions of its label are kept" if labels else ""
    return [f"{image_id}: the image is gone from the studies folder{kept}: put it back, or go on without it"]


def _check_label(label: Annotation | Draft, kept: Path) -> Sequence[str]:
    """Check that the file of a label version is unchanged, and that the record beside it can be read."""
    try:
        file = sound_file(replace(label, file_size=None), kept)
    except ActiveLabelError as error:
        return [str(error)]
    try:
        record = read_record(file)
    except (OSError, ValueError) as error:
        return [f"{label.file}: the record beside it is damaged ({error}): delete it, the next start writes it again"]
    if record is not None and record.get("sha256") != label.sha256:
        return [f"{label.file}: the record beside it is of another file: delete it, the next start writes it again"]
    return []


def _check_model(model: ModelVersion, folder: Path) -> Sequence[str]:
    what = f"model {model.version}: {model.file} "
    withdrawn = model.withdrawn_at is not None
    advice = "nothing need be done, it was withdrawn" if withdrawn else "put it back, or train a new model"
    try:
        sha256 = file_sha256(folder / model.file)
    except OSError as error:
        return [f"{what}cannot be read ({error.strerror}): {advice}"]
    return [] if sha256 == model.sha256 else [f"{what}has changed (its SHA-256 differs): {advice}"]
