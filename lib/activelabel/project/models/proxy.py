"""The proxy model of a project: its scores, its training, and the weights that the task takes over from it."""

import logging

from torch import Tensor

from activelabel.errors import InvalidInputError, NotReadyError
from activelabel.names import ScoreKind
from activelabel.networks import build_network
from activelabel.project.models.start import start_weights
from activelabel.project.project import Project
from activelabel.recipes import ProxySettings, Recipe, TrainingSettings
from activelabel.store.records.models import ModelVersion
from activelabel.training.transfer import take_over

logger = logging.getLogger(__name__)


def rank_kind(settings: ProxySettings) -> ScoreKind:
    """The score by which the proxy model ranks volumes: the mean of its measure over all voxels (nath2022, 3.4)."""
    return ScoreKind(settings.measure, aggregation="mean")


def current_proxy(project: Project) -> ModelVersion:
    """The proxy model in use.

    Raises:
        NotReadyError: none was trained yet.
    """
    model = project.ledger.model_in_use("proxy")
    if model is None:
        raise NotReadyError("no proxy model yet: train one with POST /train/proxy")
    return model


def proxy_is_missing(project: Project) -> bool:
    """Whether the recipe needs a proxy model and there is none that can be used."""
    return project.recipe.needs_proxy and project.ledger.model_in_use("proxy") is None


def unscored_by_proxy(project: Project) -> int:
    """The number of cases left that the proxy model still has to score.

    Scores are needed for the first queries if the recipe's cold start ranks by them, and for all queries if its
    strategy does. A recipe that only takes over the proxy model's weights needs no scores.
    """
    settings = project.recipe.proxy
    model = project.ledger.model_in_use("proxy")
    if settings is None or model is None:
        return 0
    first = settings.cold_start != "none" and project.ledger.model_in_use() is None
    if not first and not project.recipe.always_asks_proxy:
        return 0
    return project.ledger.count_unscored(model.version, rank_kind(settings))


def proxy_training(recipe: Recipe, settings: ProxySettings) -> TrainingSettings:
    """The settings of the proxy task as settings of a training with Adam (nath2022, 4.2)."""
    return TrainingSettings(
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        patch_size=settings.patch_size,
        patches_per_volume=settings.patches_per_volume,
        learning_rate=settings.learning_rate,
        learning_rate_decay=False,
        weight_decay=0.0,
        loss=settings.loss,
        augmentation=settings.augmentation,
        validate_every=settings.validate_every,
        validation_cases=recipe.training.validation_cases,
    )


def initial_weights(project: Project) -> dict[str, Tensor] | None:
    """The initial weights of a training of the task: imported ones, else the proxy model's with a random last layer.

    None if there are none and the recipe does not take over the proxy model's; also None, with a line in the log, if
    there is no proxy model or it does not fit. Training then begins with random weights. What is in neither comes from
    PyTorch's global random generator.
    """
    imported = start_weights(project)
    if imported is not None:
        return imported
    settings = project.recipe.proxy
    if settings is None or not settings.pretrained_weights:
        return None
    model = project.ledger.model_in_use("proxy")
    if model is None:
        logger.warning("training begins with random weights: there is no proxy model")
        return None
    description = project.model_description
    network = build_network(description.network, description.classes, description.inputs)
    try:
        taken = take_over(network, description, project.models_folder / model.file, model.sha256)
    except InvalidInputError as error:
        logger.warning(
            "training begins with random weights, not with those of proxy model %d: %s", model.version, error
        )
        return None
    logger.info("training begins with %d tensors of proxy model %d", len(taken.taken), model.version)
    return network.state_dict()
