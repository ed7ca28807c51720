"""Actions of clients on the models of a project: upload a model, withdraw a model, require that a model exists."""

import logging
from pathlib import Path
from typing import Any

from activelabel.errors import InvalidInputError
from activelabel.loop.judging import judge_upload
from activelabel.project.models.proxy import current_proxy
from activelabel.project.models.publishing import publish_model
from activelabel.project.models.standing import read_standing
from activelabel.project.project import Project
from activelabel.server.datastores.folder import LedgerDatastore
from activelabel.server.task_names import MODEL
from activelabel.server.tasks.scoring import PROXY
from activelabel.training.checkpoints import largest_model_bytes, load_model

logger = logging.getLogger(__name__)


class ModelActions:
    """Actions on the models of a project, which the routes call for clients."""

    def __init__(self, project: Project, datastore: LedgerDatastore) -> None:
        """Act on the models of `project`; an uploaded model is measured on the validation cases of `datastore`."""
        self._project = project
        self._datastore = datastore

    def require_model(self) -> None:
        """Refuse a request that needs a model as long as the project has none.

        Raises:
            NotReadyError: there is no model.
        """
        self._project.current_model()

    def require_model_of(self, scoring_method: str) -> None:
        """Refuse a scoring as long as the project lacks the model that it needs.

        Raises:
            NotReadyError: there is no such model.
        """
        if scoring_method == PROXY:
            current_proxy(self._project)
        else:
            self.require_model()

    def require_labels_of(self, model: str) -> None:
        """Refuse to keep the output of `model` if that output is not a label.

        Raises:
            InvalidInputError: the output is not a label.
        """
        if model != MODEL:
            raise InvalidInputError(f"what '{model}' shows is no label that could be kept: use model '{MODEL}'")

    def file(self) -> Path | None:
        """The file of the model in use; None if there is no model."""
        model = self._project.ledger.model_in_use()
        return None if model is None else self._project.models_folder / model.file

    def largest_bytes(self) -> int:
        """The largest possible size of a model file for the project's network and labels."""
        return largest_model_bytes(self._project.model_description)

    def adopt(self, file: Path) -> dict[str, Any]:
        """Publish an uploaded model as a new version, if it fits the project's network and labels.

        The model is measured on the validation cases like every other, and is in use if it is the best.

        Raises:
            InvalidInputError: the file does not fit this project; the line says why.
        """
        network = load_model(file, self._project.model_description)
        weights = network.state_dict()
        predictor = self._project.predictor_of(network, self._project.device)
        metrics, judges = judge_upload(self._project, predictor, self._datastore)
        seen = self._project.ledger.labels_to_learn()
        model = publish_model(self._project, weights, metrics, seen, judges=judges)
        standing = read_standing(self._project.ledger)
        logger.info("model %d was sent by a client: %s", model.version, standing)
        return {
            "checksum": f"SHA256:{model.sha256}",
            "modified_time": int(model.created_at.timestamp()),
            **standing.as_json(model),
            "standing": str(standing),
        }

    def withdraw(self) -> dict[str, Any]:
        """Withdraw the model in use; the best of the remaining models is used from then on.

        Raises:
            NotReadyError: there is no model.
        """
        model = self._project.current_model()
        self._project.ledger.withdraw_model(model.version)
        return {"withdrawn": model.version, "standing": str(read_standing(self._project.ledger))}
