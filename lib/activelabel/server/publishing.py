"""Publishing a model: a file that never changes, then its number in the ledger. Killed in between, it never was."""

import uuid
from collections.abc import Mapping, Sequence

from torch import Tensor

from activelabel.server.project import Project
from activelabel.store.records import Annotation, Metrics, ModelKind, ModelVersion
from activelabel.training.checkpoints import save_model


def publish_model(
    project: Project,
    weights: Mapping[str, Tensor],
    metrics: Metrics,
    seen: Sequence[Annotation],
    kind: ModelKind = "task",
) -> ModelVersion:
    """Make a model the one in use.

    Args:
        project: whose model it is.
        weights: of the network that is published.
        metrics: by name, of the validation cases.
        seen: the annotations it learned from or was judged by; for a model from elsewhere, those it should count as
            having seen, so that it is not replaced at once.
        kind: of the task, or the proxy model.
    """
    project.models_folder.mkdir(parents=True, exist_ok=True)
    file = project.models_folder / f"{project.recipe.name}-{uuid.uuid4().hex[:12]}.pt"
    description = project.description_of(kind)
    sha256 = save_model(file, weights, description)
    roles = {image.id: image.role for image in project.ledger.images()}
    return project.ledger.publish_model(
        file=file.name,
        sha256=sha256,
        recipe=project.recipe.name,
        labels=description.labels,
        metrics=metrics,
        trained_on=[item.id for item in seen if roles[item.image_id] == "training"],
        validated_on=[item.id for item in seen if roles[item.image_id] == "validation"],
        kind=kind,
    )
