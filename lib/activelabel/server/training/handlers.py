"""Handlers of the training and validation engines: progress, tracking, and validation by epochs."""

from typing import Any

from monai.handlers import LrScheduleHandler, StatsHandler, TensorBoardStatsHandler, ValidationHandler, from_engine
from monailabel.tasks.train.basic_train import Context

from activelabel.server.training.tracking import MLFLOW, OptionalTracking, mlflow_handler


def train_handlers(context: Context, schedule: LrScheduleHandler | None, validation_interval: int | None) -> list[Any]:
    """The handlers of a training, optionally with a learning-rate schedule and with validation every N epochs."""
    handlers: list[Any] = []
    if schedule is not None:
        handlers.append(schedule)
    if context.local_rank == 0:
        loss = from_engine(["loss"], first=True)
        handlers.append(StatsHandler(tag_name="train_loss", output_transform=loss))
        handlers.append(_tensorboard(context, tag_name="train_loss", output_transform=loss))
        if context.tracking == MLFLOW:
            handlers.append(_mlflow(context, iteration_log=True, output_transform=loss))
    if context.evaluator is not None and validation_interval is not None:
        handlers.append(ValidationHandler(validation_interval, validator=context.evaluator, epoch_level=True))
    return handlers


def val_handlers(context: Context) -> list[Any]:
    """The handlers of a validation."""
    handlers: list[Any] = [StatsHandler(output_transform=lambda _: None, iteration_log=False)]
    handlers.append(_tensorboard(context, output_transform=lambda _: None, iteration_log=False))
    if context.tracking == MLFLOW:
        handlers.append(_mlflow(context, iteration_log=False))
    return handlers


def _tensorboard(context: Context, **options: Any) -> OptionalTracking:
    return OptionalTracking("TensorBoard", lambda: TensorBoardStatsHandler(log_dir=context.events_dir, **options))


def _mlflow(context: Context, **options: Any) -> OptionalTracking:
    return OptionalTracking(
        "MLflow",
        lambda: mlflow_handler(
            tracking_uri=context.tracking_uri,
            experiment_name=context.tracking_experiment_name,
            run_name=context.tracking_run_name,
            close_on_complete=True,
            **options,
        ),
    )
