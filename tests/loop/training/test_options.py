import logging
from typing import Any

import pytest
import torch

from activelabel.errors import InvalidInputError
from activelabel.loop.training.options import offered_options, parse_options
from activelabel.recipes import TrainingSettings

TRAINING = TrainingSettings(epochs=24, batch_size=2, patch_size=(8, 8, 8), learning_rate=1e-3)


@pytest.fixture
def offered() -> dict[str, Any]:
    return offered_options(TRAINING, torch.device("cpu"))


def test_options_that_are_not_sent_are_the_recipes(offered: dict[str, Any]) -> None:
    options = parse_options({}, offered)

    assert (options.max_epochs, options.train_batch_size, options.device) == (24, 2, "cpu")
    assert (options.dataset, options.dataloader, options.tracking) == ("CacheDataset", "ThreadDataLoader", "None")


def test_a_recipes_patience_is_what_early_stopping_is_offered_with() -> None:
    patient = offered_options(TRAINING.model_copy(update={"patience": 7}), torch.device("cpu"))

    assert parse_options({}, patient).early_stop_patience == 7
    assert parse_options({}, offered_options(TRAINING, torch.device("cpu"))).early_stop_patience == -1


def test_a_form_that_comes_back_as_it_was_sent_asks_for_the_defaults(offered: dict[str, Any]) -> None:
    assert parse_options(offered, offered) == parse_options({}, offered)


def test_numbers_may_come_as_text_as_forms_send_them(offered: dict[str, Any]) -> None:
    options = parse_options({"max_epochs": "7", "early_stop_patience": "3", "multi_gpu": "false"}, offered)

    assert (options.max_epochs, options.early_stop_patience, options.multi_gpu) == (7, 3, False)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"max_epochs": "many"}, "training: 'max_epochs' is 'many'"),
        ({"max_epochs": 0}, "training: 'max_epochs' is 0"),
        ({"max_epochs": None}, "training: 'max_epochs' is None"),
        ({"train_batch_size": 2.5}, r"training: 'train_batch_size' is 2\.5"),
        ({"multi_gpu": "perhaps"}, "training: 'multi_gpu' is 'perhaps'"),
        ({"gpus": "first"}, "training: 'gpus' is 'first'"),
        ({"gpus": "1" * 5000}, "training: 'gpus' is '1"),
        ({"dataset": "SmartCacheDataset"}, "training: 'dataset' is 'SmartCacheDataset'.*'CacheDataset'"),
        ({"dataloader": []}, r"training: 'dataloader' is \[\]"),
        ({"tracking": "wandb"}, "training: 'tracking' is 'wandb'"),
        ({"device": "abacus"}, "training: 'device' is 'abacus'.*use one of"),
    ],
)
def test_a_wrong_value_is_named(offered: dict[str, Any], request_: dict[str, Any], expected: str) -> None:
    with pytest.raises(InvalidInputError, match=expected):
        parse_options(request_, offered)


@pytest.mark.parametrize("key", ["epochs", "train_ds", "val_ds", "run_id"])
def test_an_unknown_key_is_refused_and_the_known_ones_listed(offered: dict[str, Any], key: str) -> None:
    """Refused keys include those by which the host would read lists of files from the server's disk."""
    with pytest.raises(InvalidInputError, match=f"training: '{key}' is not a known key; use device, max_epochs"):
        parse_options({key: "/etc/passwd"}, offered)


def test_keys_of_the_host_without_a_meaning_here_are_passed_over_with_a_line(
    offered: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        options = parse_options({"model": "segmentation", "val_split": 0.2, "pretrained": True}, offered)

    assert options == parse_options({}, offered)
    assert "pretrained, val_split has no meaning here" in caplog.text


def test_settings_of_other_trainers_are_passed_over(offered: dict[str, Any]) -> None:
    """`POST /train/` sends one mapping per trainer, and the host passes all of them with the trainer's own."""
    options = parse_options({"segmentation": {"max_epochs": 3}, "max_epochs": 3}, offered)

    assert options.max_epochs == 3


@pytest.mark.parametrize(
    ("setting", "offered"),
    [
        ("none", ["None", "mlflow", "tensorboard", "both"]),
        ("mlflow", ["mlflow", "None", "tensorboard", "both"]),
        ("tensorboard", ["tensorboard", "None", "mlflow", "both"]),
    ],
)
def test_what_the_setting_asks_for_tracks_by_default(setting: Any, offered: list[str]) -> None:
    assert offered_options(TRAINING, torch.device("cpu"), setting)["tracking"] == offered
