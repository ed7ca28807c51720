"""The model in use, loaded once for all tasks of the server."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from activelabel.errors import InvalidInputError
from activelabel.prediction.devices.kept_choices import while_a_person_waits
from activelabel.prediction.predictor import Predictor
from activelabel.project.project import Project
from activelabel.store.records.models import ModelVersion


class LoadedModel:
    """The model in use, loaded when it is first needed, and again when another model is in use."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._lock = threading.Lock()
        self._loaded: tuple[int, Predictor] | None = None

    @contextmanager
    def predictor(self, version: object = None) -> Iterator[tuple[int, Predictor]]:
        """Version and predictor, for one caller at a time: two at once would take twice the memory and no less time.

        If another process measures meanwhile which precision is faster, it is the native one: a person waits.

        Args:
            version: the version of a model of the task; None for the model in use.

        Raises:
            NotReadyError: there is no model yet.
            InvalidInputError: there is no model of the task with this version.
        """
        with self._lock:
            model = self._project.current_model() if version is None else self._of_task(version)
            if self._loaded is None or self._loaded[0] != model.version:
                with while_a_person_waits():
                    self._loaded = (model.version, self._project.predictor(model))
            yield self._loaded

    def _of_task(self, version: object) -> ModelVersion:
        models = self._project.ledger.models()
        for model in models:
            if model.version == version:
                return model
        known = ", ".join(str(model.version) for model in models)
        raise InvalidInputError(f"model_version {version!r}: there is no such model; use one of {known or 'none yet'}")
