"""The host's tasks around the project's trainings: what clients see of them, and that they train."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from monailabel.config import settings as host_settings
from monailabel.interfaces.tasks.train import TrainTask
from training_study import Study
from warm_recipe import write_warm_recipe

from activelabel.errors import InvalidInputError
from activelabel.server.tasks.training import build_trainers


def test_the_trainers_are_tasks_of_the_host_with_the_form_that_clients_draw(
    blobs: Callable[[int], Any], make_study: Callable[..., Study], tmp_path: Any
) -> None:
    trainers = build_trainers(make_study(blobs(4), recipe=write_warm_recipe(tmp_path)).project)

    assert list(trainers) == ["segmentation", "proxy"]
    assert all(isinstance(trainer, TrainTask) for trainer in trainers.values())
    info = json.loads(json.dumps(trainers["segmentation"].info()))
    assert info["labels"] == ["ball"]
    assert "Trains the network" in info["description"]
    assert info["config"]["dataset"] == ["CacheDataset", "PersistentDataset", "Dataset"]
    assert json.loads(json.dumps(trainers["proxy"].info()))["labels"] == ["foreground"]


def test_a_request_of_the_host_trains_and_its_statistics_can_be_asked_for(annotated: Study) -> None:
    trainer = build_trainers(annotated.project)["segmentation"]
    before = trainer.stats_revision()
    trainer.check_request({"max_epochs": 1})

    returned = trainer({"model": "segmentation", "max_epochs": 1, "pretrained": True}, annotated)

    assert returned == trainer.stats()
    assert returned["total_epochs"] == 1
    assert trainer.stats_revision() != before
    assert annotated.project.ledger.latest_model().version == 1
    with pytest.raises(InvalidInputError, match="max_epochs"):
        trainer.check_request({"max_epochs": 0})


def test_mlflow_is_where_the_server_was_told(annotated: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_settings, "MONAI_LABEL_TRACKING_URI", "http://tracking.example")
    trainer = build_trainers(annotated.project)["segmentation"]
    assert trainer.config()["tracking_uri"] == "http://tracking.example"
    assert trainer.check_request({}).tracking_uri == "http://tracking.example"


@pytest.mark.parametrize("enabled", [True, False])
def test_the_hosts_start_does_not_turn_tracking_on(
    annotated: Study, monkeypatch: pytest.MonkeyPatch, enabled: bool
) -> None:
    """The host puts all its settings into the environment of its children, so that each setting looks explicit."""
    monkeypatch.setattr(type(host_settings), "model_fields_set", property(lambda _: {"MONAI_LABEL_TRACKING_ENABLED"}))
    monkeypatch.setattr(host_settings, "MONAI_LABEL_TRACKING_ENABLED", enabled)

    assert build_trainers(annotated.project)["segmentation"].config()["tracking"][:2] == ["None", "mlflow"]
