"""Brings weights from elsewhere into a project: as the start of its trainings, or as a model of its own."""

from pathlib import Path

from torch import nn

from activelabel.errors import InvalidInputError
from activelabel.exchange.fitting import Fit, fit
from activelabel.exchange.weights_files import read_weights
from activelabel.loop.judging import judge_upload
from activelabel.loop.training_cases import usable_annotations
from activelabel.networks import build_network
from activelabel.project.export.folder_images import FolderImages
from activelabel.project.models.publishing import publish_model
from activelabel.project.models.standing import read_standing
from activelabel.project.models.start import keep_start
from activelabel.project.project import Project
from activelabel.project.studies import is_pacs
from activelabel.store.records.models import Judges, Metrics


def import_start(project: Project, file: Path) -> Fit:
    """Keep the weights that fit, so that all later trainings begin with them, and return what fits.

    Raises:
        InvalidInputError: the file cannot be read, or nothing of it fits; the project stays as it is.
    """
    found = read_weights(file)
    fitting = fit(found, project.model_description)
    keep_start(project, fitting.taken, f"{found.source}, {fitting.lines[0].removeprefix('layers: ')}")
    return fitting


def import_model(project: Project, file: Path) -> tuple[Fit, str]:
    """Publish weights as a model of the project, judged like every other; return what fits, and the standing in words.

    Raises:
        InvalidInputError: the file cannot be read, or differs from what the project wants; nothing is published.
    """
    found = read_weights(file)
    description = project.model_description
    fitting = fit(found, description)
    if not fitting.whole:
        raise InvalidInputError(
            f"--use: {found.source} is no model of this project ({'; '.join(fitting.lines)}): import it without --use, "
            "as the start of trainings"
        )
    network = build_network(description.network, description.classes, description.inputs)
    network.load_state_dict(dict(fitting.taken))
    metrics, judges = _judged(project, network.eval())
    publish_model(project, fitting.taken, metrics, project.ledger.annotations(), judges=judges)
    return fitting, str(read_standing(project.ledger))


def _judged(project: Project, network: nn.Module) -> tuple[Metrics, Judges | None]:
    """The metrics by the validation cases that are annotated, as of a model that was uploaded."""
    predictor = project.predictor_of(network, project.device)
    if not usable_annotations(project.ledger, "validation"):
        return {}, None
    if is_pacs(project.studies):
        raise InvalidInputError(
            "--use: the validation cases are on a PACS, which only the server reads: send the file to the running "
            "server, PUT /model/segmentation"
        )
    return judge_upload(project, predictor, FolderImages(project))
