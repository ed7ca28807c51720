"""The proxy model of a project: what it is for, and what a training of the task begins with."""

import logging

from torch import Tensor

from activelabel.errors import InvalidInputError
from activelabel.networks import build_network
from activelabel.server.project import Project
from activelabel.training.transfer import take_over

logger = logging.getLogger(__name__)


def initial_weights(project: Project) -> dict[str, Tensor] | None:
    """All weights that a training of the task begins with: those of the proxy model, its last layer drawn at random.

    None where the recipe does not want that, and where there is no proxy model or it does not fit, which the log says:
    training then begins with random weights. The last layer comes from PyTorch's global random numbers.
    """
    settings = project.recipe.proxy
    if settings is None or not settings.pretrained_weights:
        return None
    model = project.ledger.latest_model("proxy")
    if model is None:
        logger.warning("training begins with random weights: there is no proxy model")
        return None
    description = project.model_description
    network = build_network(description.network, description.classes)
    try:
        taken = take_over(network, description, project.models_folder / model.file, model.sha256)
    except InvalidInputError as error:
        logger.warning(
            "training begins with random weights, not with those of proxy model %d: %s", model.version, error
        )
        return None
    logger.info("training begins with %d tensors of proxy model %d", len(taken.taken), model.version)
    return network.state_dict()
