"""Tracking of a training by TensorBoard and MLflow, whose failures are warnings and do not stop the training."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from activelabel.optional_parts import OptionalPart
from activelabel.training.engine.plan import Tracked

LOSS = "train_loss"
_MOST_AT_ONCE = 1000  # of MLflow


class Tracker(Protocol):
    """A place where the numbers of a training are written."""

    def write(self, name: str, values: Sequence[tuple[int, float]]) -> None:
        """Write values of a name, each with its step or epoch."""

    def close(self) -> None:
        """Write what is still to be written."""


class TensorBoard:
    """Event files for TensorBoard."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter  # takes a second to import

        self._writer: Any = SummaryWriter(str(folder))

    def write(self, name: str, values: Sequence[tuple[int, float]]) -> None:
        """Write values of a name."""
        for step, value in values:
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Close the file."""
        self._writer.close()


class MLflow:
    """A run in MLflow, which may use a database or an address that is broken, full or gone."""

    def __init__(self, tracked: Tracked) -> None:
        from mlflow import MlflowClient  # takes seconds to import

        self._client: Any = MlflowClient(tracking_uri=tracked.address)
        known = self._client.get_experiment_by_name(tracked.experiment)
        experiment = self._client.create_experiment(tracked.experiment) if known is None else known.experiment_id
        self._run: str = self._client.create_run(experiment, run_name=tracked.run).info.run_id

    def write(self, name: str, values: Sequence[tuple[int, float]]) -> None:
        """Write values of a name in as few requests as MLflow allows."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        for start in range(0, len(values), _MOST_AT_ONCE):
            metrics = [Metric(name, value, now, step) for step, value in values[start : start + _MOST_AT_ONCE]]
            self._client.log_batch(self._run, metrics=metrics)

    def close(self) -> None:
        """Mark the run as finished."""
        self._client.set_terminated(self._run)


class Tracking:
    """The trackers of a training. One that fails is not tried again: a broken database is no reason to stop."""

    def __init__(self, events: Path | None, tracked: Tracked | None) -> None:
        """Track by event files in the folder `events`, and in MLflow, each if it is asked for."""
        self._trackers: list[tuple[OptionalPart, Tracker]] = []
        if events is not None:
            self._open("TensorBoard", lambda: TensorBoard(events))
        if tracked is not None:
            self._open("MLflow", lambda: MLflow(tracked))

    def _open(self, name: str, make: Any) -> None:
        part = OptionalPart(f"{name} does not track this training")
        part.run(lambda: self._trackers.append((part, make())))

    def write(self, name: str, values: Sequence[tuple[int, float]]) -> None:
        """Write values of a name, each with its step or epoch."""
        for part, tracker in self._trackers:
            part.run(lambda tracker=tracker: tracker.write(name, values))  # type: ignore[misc]

    def close(self) -> None:
        """Close all of them."""
        for part, tracker in self._trackers:
            part.run(tracker.close)
