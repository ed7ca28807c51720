"""Compares a model's uncertainty with its errors, in each label that came back, before a training learns from it."""

import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from activelabel.acquisition.uncertainty import MEASURES
from activelabel.analysis.rank_correlation import uncertainty_error_correlation
from activelabel.data.label_checking import check_label
from activelabel.data.preprocessing import PreparedImage, restore_label, restore_maps
from activelabel.errors import InvalidInputError
from activelabel.prediction.predictor import Predictor
from activelabel.project.images import Images
from activelabel.project.project import Project
from activelabel.project.readability import prepare_case
from activelabel.project.setting_aside import set_aside
from activelabel.project.slices.slicing import fixed_axis
from activelabel.recipes.strategy_traits import traits_of
from activelabel.store.ledger import Ledger
from activelabel.store.records.labels import Annotation
from activelabel.store.records.models import ModelUse, ModelVersion

logger = logging.getLogger(__name__)


def compare_labels(project: Project, annotations: Iterable[Annotation], images: Images, device: torch.device) -> None:
    """Record, for each label that no model has seen, how well the model's uncertainty agreed with its errors.

    The model is the one that was in use when the label came back, according to the ledger, so that the result does not
    depend on when this runs. If that model was withdrawn since, the one before it is compared. An interrupted call
    keeps its records, and the next call does not compute them again. A case that cannot be compared is logged and
    passed over: it must not keep a training from learning from the others.
    """
    kept = project.prepared_images()
    for model, labels in _uncompared(project.ledger, annotations):
        try:
            predictor = project.predictor_of(project.network(model), device)
        except InvalidInputError as error:
            logger.warning("the uncertainty of model %d is compared with no label: %s", model.version, error)
            continue
        for annotation in labels:
            try:
                files = images.image_files(annotation.image_id)
                image = prepare_case(annotation.image_id, files, project.ledger, project.preprocessing, kept)
            except InvalidInputError as error:
                set_aside(annotation.image_id, error, project.ledger, images)
                continue
            try:
                _compare(project, model, predictor, annotation, image)
            except InvalidInputError as error:
                logger.warning("%s: its label is not compared with the uncertainty: %s", annotation.image_id, error)


def compared_measure(strategy: str) -> str:
    """The measure of a strategy to compare with errors; entropy for a strategy without a measure."""
    return traits_of(strategy).measure or "entropy"


def _uncompared(ledger: Ledger, annotations: Iterable[Annotation]) -> Iterator[tuple[ModelVersion, list[Annotation]]]:
    """The labels without a record that the newest model has not seen, oldest first, by the model then in use."""
    models = {model.version: model for model in ledger.models(in_service=True)}
    if not models:
        return
    newest = models[max(models)]
    done = {check.annotation_id for check in ledger.uncertainty_checks()}.union(newest.trained_on, newest.validated_on)
    new = sorted((item for item in annotations if item.id not in done), key=lambda item: item.id)
    uses = [use for use in ledger.model_uses() if use.model_version in models]
    for version, labels in itertools.groupby(new, key=lambda item: _in_use(uses, item)):
        if version is not None:
            yield models[version], list(labels)


def _in_use(uses: Sequence[ModelUse], annotation: Annotation) -> int | None:
    before = [use.model_version for use in uses if use.began_at <= annotation.created_at]
    return before[-1] if before else None


def _compare(
    project: Project,
    model: ModelVersion,
    predictor: Predictor,
    annotation: Annotation,
    image: PreparedImage,
) -> None:
    """Compare uncertainty and errors on the slices of a label that are new to the model, and record the result.

    The prediction is the most probable class of the mean over the repeats; the uncertainty comes from the same repeats.
    """
    axis = fixed_axis(project.ledger, annotation.image_id, image.original, project.slice_plane)
    slices = _new_slices(project.ledger, model, annotation, image.original.shape[axis])
    if not slices:
        return
    file = project.labels_folder / annotation.file
    reference = check_label(file, image.original, project.labels, as_kept=True).array
    statistics = predictor.sample(image.tensor, project.recipe.prediction.repeats, project.settings.seed)
    measure = compared_measure(project.recipe.query.strategy)
    uncertainty: NDArray[np.float32] = restore_maps(MEASURES[measure](statistics)[None], image)[0].numpy()
    if not np.isfinite(uncertainty).all():
        raise InvalidInputError(f"the {measure} of model {model.version} is no number: train a new model")
    drawn, wanted = (
        project.labels.part_numbers(label)
        for label in (restore_label(statistics.mean, image, project.labels), reference)
    )
    judged = project.labels.judged(reference).take(slices, axis)
    uncertainty, wrong = uncertainty.take(slices, axis)[judged], (drawn != wanted).take(slices, axis)[judged]
    correlation = uncertainty_error_correlation(uncertainty, wrong)
    record = project.ledger.record_uncertainty_check(
        annotation.id,
        model.version,
        measure,
        None if correlation is None else float(np.clip(correlation, -1, 1)),  # Rounding may exceed [-1, 1].
        wrong_voxels=int(np.count_nonzero(wrong)),
        voxels=wrong.size,
    )
    logger.info("%s: compared with the uncertainty of model %d: %s", annotation.image_id, model.version, record)


def _new_slices(ledger: Ledger, model: ModelVersion, annotation: Annotation, count: int) -> list[int]:
    """The slices of a label that no label seen by the model covers."""
    seen = {*model.trained_on, *model.validated_on}
    earlier = (_covered(label, count) for label in ledger.history(annotation.image_id) if label.id in seen)
    return sorted(_covered(annotation, count).difference(*earlier))


def _covered(annotation: Annotation, count: int) -> set[int]:
    return set(range(count) if annotation.slices is None else annotation.slices)
