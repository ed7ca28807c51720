"""The model in use, loaded once for all tasks of the server."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from activelabel.prediction.predictor import Predictor
from activelabel.server.project import Project


class LoadedModel:
    """The latest model version, loaded when it is first needed and again when a newer one is there."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._lock = threading.Lock()
        self._loaded: tuple[int, Predictor] | None = None

    @contextmanager
    def predictor(self) -> Iterator[tuple[int, Predictor]]:
        """Version and predictor, for one caller at a time: two side by side take twice the memory and no less time.

        Raises:
            NotReadyError: there is no model yet.
        """
        with self._lock:
            model = self._project.current_model()
            if self._loaded is None or self._loaded[0] != model.version:
                self._loaded = (model.version, self._project.predictor(model))
            yield self._loaded
