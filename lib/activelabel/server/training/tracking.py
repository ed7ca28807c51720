"""Tracking of a training by MLflow and TensorBoard, whose failures are warnings and do not stop the training."""

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any, cast

from ignite.engine import Engine, Events
from monai.handlers import MLFlowHandler
from monai.handlers import mlflow_handler as handler_module

from activelabel.project.optional_parts import warn_of

MLFLOW = "mlflow"

Step = Callable[[], None]
Tracker = Any
"""A handler of MONAI, `MLFlowHandler` or `TensorBoardStatsHandler`; MONAI has no types."""


def mlflow_handler(**options: Any) -> MLFlowHandler:
    """MONAI's MLflow handler; imports MLflow if this process was started without it (`server.lean_imports`)."""
    module = handler_module
    if not isinstance(module.mlflow, ModuleType):  # MONAI's stand-in for a missing package
        module = importlib.reload(module)
    return cast(MLFlowHandler, module.MLFlowHandler(**options))


class OptionalTracking:
    """A handler that passes an engine's events to a tracker until the tracker fails for the first time.

    MLflow uses a database or an address that may be broken, full or gone, which is unrelated to the training: after a
    kill during the first migration of its database, every later training failed.
    """

    def __init__(self, name: str, make: Callable[[], Tracker]) -> None:
        """Track with the tracker that `make` returns; `make` may fail, so it is called when the engine starts."""
        self._name = name
        self._make = make
        self._handler: Tracker | None = None
        self._failed = False

    def attach(self, engine: Engine) -> None:
        """Attach to the engine, from its start to its end."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._iteration_completed)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._epoch_completed)
        engine.add_event_handler(Events.COMPLETED, self._complete)

    def _start(self, engine: Engine) -> None:
        def start() -> None:
            if self._handler is None:
                self._handler = self._make()
            if isinstance(self._handler, handler_module.MLFlowHandler):
                self._handler.start(engine)

        self._try(start)

    def _iteration_completed(self, engine: Engine) -> None:
        handler = self._handler
        if handler is not None and handler.iteration_log:
            self._try(lambda: handler.iteration_completed(engine))

    def _epoch_completed(self, engine: Engine) -> None:
        handler = self._handler
        if handler is not None and handler.epoch_log:
            self._try(lambda: handler.epoch_completed(engine))

    def _complete(self, engine: Engine) -> None:
        handler = self._handler
        if isinstance(handler, handler_module.MLFlowHandler):
            self._try(handler.complete)
            self._try(handler.close)

    def _try(self, step: Step) -> None:
        if self._failed:
            return
        try:
            step()
        except Exception as error:  # noqa: BLE001  # no failure of an optional part may stop a training
            self._failed = True
            warn_of(f"{self._name} does not track this training", error)
