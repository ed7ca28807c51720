"""Measures models by the validation cases: a trained model, an uploaded one, and the one in use."""

import logging
from collections.abc import Mapping, Sequence

import torch

from activelabel.errors import InvalidInputError
from activelabel.loop.training_cases import AnnotatedCase, annotated_case, readable_of_role
from activelabel.prediction.predictor import Predictor
from activelabel.project.images import Images
from activelabel.project.models.standing import read_standing
from activelabel.project.project import Project
from activelabel.store.models.choice import best_version, label_judges
from activelabel.store.records.models import Judges, Metrics, ModelKind
from activelabel.training.checkpoints import ModelDescription
from activelabel.training.evaluation import ClassDice, evaluate_cases, mean_class_dice, mean_dice

logger = logging.getLogger(__name__)


def judge(predictor: Predictor, cases: Sequence[AnnotatedCase], model: ModelDescription) -> dict[str, ClassDice]:
    """The Dice of each label in each case, on the image's own grid, by image.

    Raises:
        InvalidInputError: the image or the label of a case cannot be read.
    """
    dice = evaluate_cases(predictor.probabilities, cases, model.labels, model.preprocessing)
    return {case["image_id"]: classes for case, classes in zip(cases, dice, strict=True)}


def case_metrics(per_case: Mapping[str, ClassDice], labels: Sequence[str]) -> Metrics:
    """The metrics of a model: for each label `dice_NAME`, the mean over the cases, and `dice`, the mean over labels."""
    classes = mean_class_dice(list(per_case.values()), labels)
    return {"dice": mean_dice(classes), **{f"dice_{name}": value for name, value in classes.items()}}


def measure_again(
    project: Project, kind: ModelKind, cases: Sequence[AnnotatedCase], judges: Judges | None, device: torch.device
) -> None:
    """Measure the model in use, and the best if somebody chose another, by the cases that judge a new model now.

    This makes them comparable with the new model: since their last measurement, cases may have been added or labels
    changed. A model that was measured by these cases already is skipped; one that cannot be used is logged.

    Raises:
        InvalidInputError: the image or the label of a case cannot be read.
    """
    if judges is None:
        return
    standing, description = read_standing(project.ledger, kind), project.description_of(kind)
    serving = [model.version for model in standing.in_service]
    wanted = {None if standing.in_use is None else standing.in_use.version, best_version(serving, standing.measured)}
    done = {item.model_version for item in standing.measured if item.judges == judges}
    for model in standing.models:
        if model.version not in wanted - done:
            continue
        try:
            predictor = project.predictor_of(project.network(model), device, description)
        except InvalidInputError as error:
            logger.warning("model %d is not measured again and not compared: %s", model.version, error)
            continue
        metrics = case_metrics(judge(predictor, cases, description), description.labels)
        project.ledger.record_measurement(model.version, judges, metrics)
        logger.info("model %d, measured again by %d cases: %s", model.version, judges.cases, metrics)


def judge_upload(project: Project, predictor: Predictor, images: Images) -> tuple[Metrics, Judges | None]:
    """The metrics of an uploaded model by the current validation cases, and these; also measures the model in use.

    Raises:
        InvalidInputError: the image or the label of a case cannot be read.
    """
    annotations = readable_of_role(project, "validation", images)
    cases = [annotated_case(annotation, project, images) for annotation in annotations]
    judges = label_judges(annotation.id for annotation in annotations)
    measure_again(project, "task", cases, judges, project.device)
    return case_metrics(judge(predictor, cases, project.model_description), project.labels), judges
