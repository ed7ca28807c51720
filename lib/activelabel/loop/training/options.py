"""Options of a training request: the host's keys, typed, with the recipe's numbers as defaults."""

import logging
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from activelabel.errors import InvalidInputError
from activelabel.loop.training.devices import device_names, device_of_name, gpu_count
from activelabel.recipes import TrainingSettings, first_problem

logger = logging.getLogger(__name__)

# Keys of the host and its clients that this app ignores: validation cases are fixed, each training has a folder of
# its own, the recipe chooses the initial weights, and the batch size of validation volumes, which vary in size, is 1.
_WITHOUT_MEANING = frozenset({"model", "client_id", "local_rank", "name", "pretrained", "val_split", "val_batch_size"})


def _chosen(value: object) -> object:
    """The first item of a list, since the host describes a choice by a list of values with the default first."""
    return value[0] if isinstance(value, list) and value else value


class TrainOptions(BaseModel):
    """Options of one training, under the host's names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Annotated[str, BeforeValidator(_chosen)] = Field(
        description="`cpu`, `cuda`, `cuda:N`, or the name by which the host lists a GPU"
    )
    max_epochs: int = Field(ge=1, description="the recipe's `training.epochs`, for this training")
    early_stop_patience: int = Field(default=-1, ge=-1, description="the recipe's `training.patience`; -1 for none")
    train_batch_size: int = Field(ge=1, description="the recipe's `training.batch_size`, for this training")
    multi_gpu: bool = Field(default=True, description="whether several GPUs are used where there are several")
    gpus: str = Field(
        default="all",
        pattern=r"^(all|\d{1,4}(,\d{1,4})*)$",
        description="which GPUs: `all`, or their numbers by commas",
    )
    dataset: Annotated[Literal["CacheDataset", "PersistentDataset", "Dataset"], BeforeValidator(_chosen)] = Field(
        description="how prepared cases are kept: in memory (`CacheDataset`), on disk (`PersistentDataset`), or not"
    )
    dataloader: Annotated[Literal["ThreadDataLoader", "DataLoader"], BeforeValidator(_chosen)] = Field(
        description="the loader of patches: MONAI's `ThreadDataLoader`, or torch's `DataLoader`"
    )
    tracking: Annotated[Literal["None", "mlflow", "tensorboard", "both"], BeforeValidator(_chosen)] = Field(
        description="whether this training is tracked in MLflow, by event files for TensorBoard, or by both"
    )
    tracking_uri: str = Field(description="where MLflow is; only the server's own address is allowed")
    tracking_experiment_name: str = Field(default="", description="the name of the experiment in MLflow")

    @field_validator("device")
    @classmethod
    def _known_device(cls, value: str) -> str:
        """`cpu`, `cuda`, `cuda:N`, or the name by which the host lists a GPU."""
        try:
            device = torch.device(device_of_name(value))
        except RuntimeError as error:
            raise ValueError(f"use one of {', '.join(device_names())}") from error
        if device.type not in ("cpu", "cuda") or (device.type == "cuda" and (device.index or 0) >= gpu_count()):
            raise ValueError(f"this machine has no such device: use one of {', '.join(device_names())}")
        return str(device)

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices of a training on several GPUs; empty for a training on `device` alone."""
        if not self.multi_gpu or torch.device(self.device).type == "cpu":
            return ()
        numbers = range(gpu_count()) if self.gpus == "all" else [int(number) for number in self.gpus.split(",")]
        return tuple(f"cuda:{number}" for number in numbers) if len(numbers) > 1 else ()


_TRACKED_BY = ("None", "mlflow", "tensorboard", "both")


def offered_options(
    settings: TrainingSettings,
    device: torch.device,
    tracking: Literal["none", "mlflow", "tensorboard", "both"] = "none",
    tracking_address: str = "",
) -> dict[str, Any]:
    """The options for the clients' form: a value is a default, a list is a choice with the default first.

    The host's variable MONAI_LABEL_TRACKING_ENABLED is not used: a server always sets it for its children.
    """
    return {
        "device": [str(device), *(name for name in device_names() if name != str(device))],
        "max_epochs": settings.epochs,
        "early_stop_patience": settings.patience or -1,
        "train_batch_size": settings.batch_size,
        "multi_gpu": True,
        "gpus": "all",
        "dataset": ["CacheDataset", "PersistentDataset", "Dataset"],
        "dataloader": ["ThreadDataLoader", "DataLoader"],
        "tracking": sorted(_TRACKED_BY, key=lambda name: name.lower() != tracking),
        "tracking_uri": tracking_address,
        "tracking_experiment_name": "",
    }


def parse_options(request: Mapping[str, Any], offered: Mapping[str, Any]) -> TrainOptions:
    """The options of a request; options that it leaves out have the values in `offered`.

    Devices that this machine lacks are refused. Tracking uses the address in the server's settings only, since the
    server would call any address that a client names.

    Keys of the host that have no meaning here are ignored with a line in the log. Mappings are ignored too: the host
    uses them for options of a single trainer.

    Raises:
        InvalidInputError: an unknown key, or a value of the wrong type or range; the line says which.
    """
    asked = {key: value for key, value in request.items() if not isinstance(value, Mapping)}
    passed_over = sorted(_WITHOUT_MEANING & asked.keys() - {"model", "client_id"})
    if passed_over:
        logger.info("training: %s has no meaning here and is passed over", ", ".join(passed_over))
    asked = {key: value for key, value in asked.items() if key not in _WITHOUT_MEANING}
    unknown = sorted(asked.keys() - TrainOptions.model_fields.keys())
    if unknown:
        raise InvalidInputError(
            f"training: '{unknown[0]}' is not a known key; use {', '.join(TrainOptions.model_fields)}"
        )
    uri = asked.get("tracking_uri", "")
    if uri not in ("", offered["tracking_uri"]):
        raise InvalidInputError(
            "training: 'tracking_uri' is set where the server is started, with MONAI_LABEL_TRACKING_URI: leave it out"
        )
    try:
        return TrainOptions.model_validate({**offered, **asked, "tracking_uri": offered["tracking_uri"]})
    except ValidationError as error:
        raise InvalidInputError(f"training: {first_problem(error)}") from error
