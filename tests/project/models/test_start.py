"""Weights with which trainings begin: kept in files that never change, taken back, left out when they do not fit."""

import logging

import pytest
import torch
from training_study import Study

from activelabel.networks import build_network
from activelabel.project.models.start import FACT, forget_start, keep_start, start_weights


def some_weights(study: Study, value: float) -> dict[str, torch.Tensor]:
    network = build_network(study.project.recipe.network, 2).state_dict()
    name = next(name for name, values in network.items() if values.ndim > 1)
    return {name: torch.full_like(network[name], value)}


def test_a_new_network_has_them_in_their_places(study: Study) -> None:
    weights = some_weights(study, 0.25)
    keep_start(study.project, weights, "encoder.pt")
    begun = start_weights(study.project)
    own = build_network(study.project.recipe.network, 2).state_dict()
    assert {name: values.shape for name, values in begun.items()} == {
        name: values.shape for name, values in own.items()
    }
    assert all(torch.equal(begun[name], values) for name, values in weights.items())
    assert study.project.ledger.fact(FACT).reason == "encoder.pt"


def test_later_weights_take_their_place_and_the_earlier_file_stays(study: Study) -> None:
    first = keep_start(study.project, some_weights(study, 0.25), "first")
    before = (study.project.folder / "start" / first).read_bytes()
    keep_start(study.project, some_weights(study, 0.5), "second")
    assert study.project.ledger.fact(FACT).reason == "second"
    assert (study.project.folder / "start" / first).read_bytes() == before


def test_weights_that_a_training_begins_with_can_be_taken_back(study: Study) -> None:
    keep_start(study.project, some_weights(study, 0.25), "encoder.pt")
    forget_start(study.project)
    assert start_weights(study.project) is None


def test_a_new_project_has_no_weights_that_a_training_begins_with(study: Study) -> None:
    assert start_weights(study.project) is None


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_a_damaged_file_is_left_out_with_a_line_in_the_log(
    study: Study, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = study.project.folder / "start" / keep_start(study.project, some_weights(study, 0.25), "encoder.pt")
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    with caplog.at_level(logging.WARNING):
        assert start_weights(study.project) is None
    assert "training does not begin with the weights of encoder.pt" in caplog.text


def test_weights_of_another_network_are_left_out(study: Study, caplog: pytest.LogCaptureFixture) -> None:
    keep_start(study.project, {"layer.weight": torch.ones(2, 2)}, "encoder.pt")
    with caplog.at_level(logging.WARNING):
        assert start_weights(study.project) is None
    assert "'layer.weight' is no weight of the recipe's network" in caplog.text
