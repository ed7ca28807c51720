"""What clients do with the models of a project: send one, take one out of service, ask whether there is one."""

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
    """The models of a project, as the routes ask for them."""

    def __init__(self, project: Project, datastore: LedgerDatastore) -> None:
        """The models of `project`; an uploaded one is judged on the validation cases of `datastore`."""
        self._project = project
        self._datastore = datastore

    def require_model(self) -> None:
        """Refuse what needs a model as long as there is none.

        Raises:
            NotReadyError: there is none.
        """
        self._project.current_model()

    def require_model_of(self, scoring_method: str) -> None:
        """Refuse a scoring as long as there is no model that could do it.

        Raises:
            NotReadyError: there is none.
        """
        if scoring_method == PROXY:
            current_proxy(self._project)
        else:
            self.require_model()

    def require_labels_of(self, model: str) -> None:
        """Refuse to keep what a model shows where that is no label.

        Raises:
            InvalidInputError: it is none.
        """
        if model != MODEL:
            raise InvalidInputError(f"what '{model}' shows is no label that could be kept: use model '{MODEL}'")

    def file(self) -> Path | None:
        """The file of the model in use, None without one."""
        model = self._project.ledger.model_in_use()
        return None if model is None else self._project.models_folder / model.file

    def largest_bytes(self) -> int:
        """The largest size that the file of a model for this network and these labels can have."""
        return largest_model_bytes(self._project.model_description)

    def adopt(self, file: Path) -> dict[str, Any]:
        """Publish an uploaded model as a new version, if it is one for this network and these labels.

        It is judged by the validation cases as every other, and in use if it is the best of all.

        Raises:
            InvalidInputError: it is no model of this project; the line says why.
        """
        network = load_model(file, self._project.model_description)
        weights = network.state_dict()
        predictor = self._project.predictor_of(network, self._project.device)
        metrics, judges = judge_upload(self._project, predictor, self._datastore)
        seen = self._project.ledger.annotations()
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
        """Take the model in use out of service; the best of those left is then in use.

        Raises:
            NotReadyError: there is none.
        """
        model = self._project.current_model()
        self._project.ledger.withdraw_model(model.version)
        return {"withdrawn": model.version, "standing": str(read_standing(self._project.ledger))}
