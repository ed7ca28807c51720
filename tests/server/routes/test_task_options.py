"""The options of a background task: only keys that it knows, and none that would control its process."""

from collections.abc import Mapping
from typing import Any

import pytest

from activelabel.errors import ForbiddenError, InvalidInputError
from activelabel.server.routes.task_options import (
    BatchInferOptions,
    InferOptions,
    ScoringOptions,
    parse_options,
    trainer_params,
)

HOST_DEFAULTS = {
    "device": "cuda", "multi_gpu": True, "gpus": "all", "logging": "WARNING",
    "save_label": True, "label_tag": "original", "max_workers": 1, "max_batch_size": 0,
}  # fmt: skip


def test_the_hosts_own_batch_request_passes_and_runs_where_the_server_does() -> None:
    options = parse_options(BatchInferOptions, {**HOST_DEFAULTS, "client_id": "ann"}, "batch inference")
    assert options.host_request("cpu") == {
        "label_tag": "original", "max_batch_size": 0, "device": "cpu", "multi_gpu": False, "max_workers": 1,
    }  # fmt: skip


@pytest.mark.parametrize("kind", [BatchInferOptions, ScoringOptions])
def test_unknown_keys_name_the_known_ones(kind: type[BatchInferOptions] | type[ScoringOptions]) -> None:
    with pytest.raises(InvalidInputError, match=r"task: 'workers' is not a known key; use client_id"):
        parse_options(kind, {"workers": 2}, "task")


@pytest.mark.parametrize("kind", [BatchInferOptions, ScoringOptions, InferOptions])
@pytest.mark.parametrize("key", ["bundle_path", "image", "images", "model", "session"])
def test_reserved_keys_are_refused_everywhere(kind: type[Any], key: str) -> None:
    with pytest.raises(ForbiddenError, match=key):
        parse_options(kind, {key: "/tmp"}, "task")


def test_an_inference_reads_its_own_keys_and_passes_over_those_of_other_models() -> None:
    slicer = {"result_extension": ".nrrd", "result_dtype": "uint8", "client_id": "ann", "roi": [1, 2], "slice": 3}
    assert parse_options(InferOptions, slicer, "inference") == InferOptions(
        result_extension=".nrrd", result_dtype="uint8"
    )


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (None, {}),
        ({"max_epochs": 3}, {"max_epochs": 3}),
        ({"max_epochs": 3, "segmentation": {"max_epochs": 2, "device": "cpu"}}, {"max_epochs": 2, "device": "cpu"}),
        ({"other": {"max_epochs": 2}}, {}),
        ({"segmentation": 5}, {"segmentation": 5}),  # the trainer refuses an unknown key
    ],
)
def test_a_trainer_is_told_what_is_for_all_and_what_is_for_it(
    asked: Mapping[str, Any] | None, told: dict[str, Any]
) -> None:
    assert trainer_params(asked, "segmentation", ["segmentation", "other"]) == told


def test_an_object_is_for_a_trainer_only() -> None:
    with pytest.raises(InvalidInputError, match="'gpus' is an object"):
        trainer_params({"gpus": {"a": 1}}, "segmentation", ["segmentation"])


def test_a_trainers_own_params_may_not_override_either() -> None:
    with pytest.raises(ForbiddenError, match="bundle_path"):
        trainer_params({"segmentation": {"bundle_path": "/tmp"}}, "segmentation", ["segmentation"])
