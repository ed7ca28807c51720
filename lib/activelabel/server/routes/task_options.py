"""Options of requests for background tasks. The host would pass every key to the task and its process."""

from collections.abc import Collection, Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from activelabel.errors import InvalidInputError
from activelabel.recipes import first_problem
from activelabel.server.routes.request_checks import check_params

CLIENT_ID = "the name of the annotator, where nobody has to log in"
_PASSED_OVER = "a key of the host, which is ignored: the server's settings say where inference runs"
_TAG = "the tag under which a label is kept: `original`, or another but `final`, which is for annotators' labels"


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    client_id: str | None = Field(default=None, description=CLIENT_ID)


class ScoringOptions(_Options):
    """Options of a scoring, which depends on the recipe only."""


class BatchInferOptions(_Options):
    """Options of batch inference. The server's settings choose the device, so the host's keys for it are ignored."""

    label_tag: str = Field(default="original", description=_TAG)
    max_batch_size: int = Field(default=0, ge=0, description="how many images at most; 0 for all")
    save_label: Literal[True] = Field(default=True, description="always true: every mask is kept as a label")
    device: object = Field(default=None, description=_PASSED_OVER)
    multi_gpu: object = Field(default=None, description=_PASSED_OVER)
    gpus: object = Field(default=None, description=_PASSED_OVER)
    logging: object = Field(default=None, description=_PASSED_OVER)
    max_workers: object = Field(default=None, description=_PASSED_OVER)

    def host_request(self, device: str) -> dict[str, Any]:
        """The request for the host's task, which processes one image at a time on `device`."""
        return {
            "label_tag": self.label_tag,
            "max_batch_size": self.max_batch_size,
            "device": device,
            "multi_gpu": False,
            "max_workers": 1,
        }


class InferOptions(BaseModel):
    """Options of every inference. A model may read more, and clients also send options of other models."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    save_label: bool = Field(default=False, description="whether the mask is kept as a label of the image")
    label_tag: str = Field(default="original", description=_TAG)
    result_extension: str | None = Field(
        default=None, description="the file format of the mask: `.nii.gz`, which is the default, `.nii` or `.nrrd`"
    )
    result_dtype: str | None = Field(default=None, description="the number type of the mask's voxels, such as `uint8`")
    result_compress: bool = Field(default=False, description="whether a `.nrrd` mask is compressed")


Options = TypeVar("Options", bound=BaseModel)


def parse_options(kind: type[Options], params: Mapping[str, Any] | None, task: str) -> Options:
    """The params of a request, validated as options of a task.

    Raises:
        InvalidInputError: a key is unknown, or a value has the wrong type or range.
        ForbiddenError: a key would override the address of the request.
    """
    asked = dict(params or {})
    check_params(asked)
    unknown = sorted(asked.keys() - kind.model_fields.keys())
    if unknown and kind.model_config.get("extra") == "forbid":
        raise InvalidInputError(f"{task}: '{unknown[0]}' is not a known key; use {', '.join(kind.model_fields)}")
    try:
        return kind.model_validate(asked)
    except ValidationError as error:
        raise InvalidInputError(f"{task}: {first_problem(error)}") from error


def trainer_params(params: Mapping[str, Any] | None, trainer: str, trainers: Collection[str]) -> dict[str, Any]:
    """The params for one trainer: the common ones, updated by a mapping under the trainer's name.

    Raises:
        InvalidInputError: a mapping has a name that is not that of a trainer.
        ForbiddenError: a key would override the address of the request.
    """
    asked = dict(params or {})
    for key, value in asked.items():
        if isinstance(value, Mapping) and key not in trainers:
            raise InvalidInputError(f"training: '{key}' is an object, expected one value: objects are for trainers")
    flat = {key: value for key, value in asked.items() if not isinstance(value, Mapping)}
    own = asked.get(trainer)
    flat |= own if isinstance(own, Mapping) else {}
    check_params(flat)
    return flat
