"""Inference for the routes: runs a model of the project over an image of the studies or over a file."""

import copy
import json
from collections.abc import Mapping
from typing import Any

from monailabel.interfaces.datastore import DefaultLabelTag
from monailabel.interfaces.tasks.infer_v2 import InferTask

from activelabel.annotation.shown_masks import keep_shown_mask
from activelabel.data.volumes import read_grid
from activelabel.project.project import Project
from activelabel.server.actions.joining import Joined
from activelabel.server.actions.models import ModelActions
from activelabel.server.datastores.folder import LedgerDatastore
from activelabel.server.known import require_known
from activelabel.server.task_names import MODEL


class Inference:
    """Runs the models of a project, and stores the masks that annotators may start from."""

    def __init__(
        self, project: Project, datastore: LedgerDatastore, infers: Mapping[str, InferTask], models: ModelActions
    ) -> None:
        """Run the models `infers` of `project` over the images of `datastore`."""
        self._project = project
        self._datastore = datastore
        self._infers = infers
        self._models = models
        self._joined = Joined()

    def infer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Run a model over an image of the studies, or over the file of an upload or a session.

        A request that is sent again while it is answered, by a client that has given up waiting, joins the first one.

        The host reads an image id as a path if the working folder has a file of that name; this method never does.

        Raises:
            NotFoundError: there is no such model.
            InvalidInputError: the image cannot be read, or the request keeps a result that is not a label.
            NotReadyError: there is no model yet.
        """
        name, image = str(request.get("model")), request["image"]
        require_known(name, self._infers, "model")
        if request.get("save_label"):
            self._models.require_labels_of(name)
        in_studies = isinstance(image, str) and self._datastore.lists(image)
        files = self._datastore.image_files(image).as_json() if in_studies else image

        def run() -> tuple[str, dict[str, Any]]:
            file, params = self._infers[name]({**copy.deepcopy(dict(request)), "image": files})
            if in_studies and name == MODEL:
                version = int(params["model_version"])
                keep_shown_mask(self._project, image, version, file, lambda: read_grid(files))
            return file, params

        file, params = self._joined.make(json.dumps(dict(request), sort_keys=True, default=str), run)
        label = file
        if request.get("save_label") and in_studies:
            tag = request.get("label_tag") or DefaultLabelTag.ORIGINAL.value
            label = self._datastore.save_label(image, file, tag, {"model": name, "params": params})
        return {"label": label, "tag": DefaultLabelTag.ORIGINAL.value, "file": file, "params": params}
