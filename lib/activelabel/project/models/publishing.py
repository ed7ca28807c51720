"""Publishes a model: writes a file that never changes, then its number to the ledger. A file without one is ignored."""

import logging
import uuid
from collections.abc import Mapping, Sequence

from torch import Tensor

from activelabel.data.labels.label_texts import stored_labels
from activelabel.errors import InvalidInputError
from activelabel.project.project import Project
from activelabel.store.records.labels import Annotation
from activelabel.store.records.models import Judges, Metrics, ModelKind, ModelVersion
from activelabel.store.records.work import Claim
from activelabel.training.checkpoints import ENDING, save_model

logger = logging.getLogger(__name__)


def publish_model(
    project: Project,
    weights: Mapping[str, Tensor],
    metrics: Metrics,
    seen: Sequence[Annotation],
    kind: ModelKind = "task",
    judges: Judges | None = None,
    claim: Claim | None = None,
) -> ModelVersion:
    """Publish a model. It is in use from now on if it is the best by the same cases and nobody chose another.

    A better model that can no longer be used, because its file is damaged or of another recipe, is excluded from all
    later comparisons.

    Args:
        project: the project of the model.
        weights: the weights of its network.
        metrics: its metrics on the validation cases, by name.
        seen: the annotations that it learned from or was judged by; for an uploaded model, those that count as seen, so
            that no training replaces it at once.
        kind: whether it is a model of the task or a proxy model.
        judges: the cases that gave the metrics, if these are not the validation cases in `seen`.
        claim: what the worker that trained it must still hold.

    Raises:
        LostClaimError: the worker does not hold it any more.
    """
    project.models_folder.mkdir(parents=True, exist_ok=True)
    file = project.models_folder / f"{project.recipe.name}-{uuid.uuid4().hex[:12]}{ENDING}"
    description = project.description_of(kind)
    sha256 = save_model(file, weights, description)
    roles = project.ledger.roles({item.image_id for item in seen})
    model = project.ledger.publish_model(
        file=file.name,
        sha256=sha256,
        recipe=project.recipe.name,
        labels=stored_labels(description.labels),
        metrics=metrics,
        trained_on=[item.id for item in seen if roles[item.image_id] == "training"],
        validated_on=[item.id for item in seen if roles[item.image_id] == "validation"],
        kind=kind,
        judges=judges,
        claim=claim,
    )
    _exclude_unusable_models(project, model)
    return model


def _exclude_unusable_models(project: Project, published: ModelVersion) -> None:
    """Exclude the best model while it cannot be used; this ends at the latest at the published one."""
    ledger, kind = project.ledger, published.kind
    while (model := ledger.model_in_use(kind)) is not None and model.version != published.version:
        use = ledger.model_use(kind)
        if use is not None and use.chosen_by is not None:
            return
        try:
            project.network(model)
        except InvalidInputError as error:
            logger.warning("model %d is left out from now on: %s", model.version, error)
            ledger.leave_unranked(model.version)
        else:
            return
