"""Trainings that continue a model: their length, their first weights, and the share of cases that it knows."""

from pathlib import Path

import numpy as np
import pytest
import torch

from activelabel.networks import build_network
from activelabel.recipes import PreprocessingSettings, load_recipe
from activelabel.training.checkpoints import ModelDescription
from activelabel.training.engine.plan import Plan
from activelabel.training.engine.replay import continued, mixed_order, shrunk


def plan_with(folder: Path, **training: object) -> Plan:
    recipe = load_recipe("quick")
    network = recipe.network.model_copy(update={"channels": (4, 8), "strides": (2,), "normalisation": "batch"})
    model = ModelDescription(
        recipe="quick", labels=("ball",), network=network, preprocessing=PreprocessingSettings(intensity="zscore")
    )
    torch.manual_seed(5)
    weights = build_network(network, model.classes).state_dict()
    settings = recipe.training.model_copy(update=training)
    return Plan(model, settings, recipe.prediction, [], [], 0, "cpu", "float32", folder, weights=weights)


def test_a_continued_training_has_its_own_length_and_rate_and_is_validated(tmp_path: Path) -> None:
    before = plan_with(tmp_path, epochs=40, validate_every=8, continued_share=0.1, continued_learning_rate=0.25)
    plan = continued(before, [2, 3])
    assert (plan.training.epochs, plan.training.validate_every, plan.training.learning_rate) == (4, 4, 0.25)
    assert plan.new == (2, 3)
    assert plan.weights is before.weights
    assert continued(plan_with(tmp_path, epochs=3, continued_share=0.1), []).training.epochs == 1


def test_by_default_a_continued_training_is_as_any_other(tmp_path: Path) -> None:
    before = plan_with(tmp_path)
    assert continued(before, []).training == before.training


@pytest.mark.parametrize("share", [0.0, 0.75, 1.0])
def test_shrunk_weights_lie_between_random_ones_and_those_of_the_model(tmp_path: Path, share: float) -> None:
    plan = plan_with(tmp_path)
    assert plan.weights is not None
    torch.manual_seed(plan.seed)
    fresh = build_network(plan.model.network, plan.model.classes)
    drawn = dict(fresh.named_parameters())
    state = torch.random.get_rng_state()
    found = shrunk(plan, share)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert found.keys() == plan.weights.keys()
    for name, known in plan.weights.items():
        expected = share * known + (1 - share) * drawn[name] if name in drawn else known
        torch.testing.assert_close(found[name], expected)


def test_a_pass_has_the_share_of_known_items_and_each_as_often_as_the_others() -> None:
    is_new = np.array([False] * 6 + [True] * 2)
    orders = [mixed_order(is_new, 0.5, np.random.default_rng(seed)) for seed in range(5)]
    for order in orders:
        assert len(order) == 8
        known, new = order[order < 6], order[order >= 6]
        assert (len(known), len(new)) == (4, 4)
        assert len(set(known)) == 4
        assert sorted(new) == [6, 6, 7, 7]
    assert len({tuple(order) for order in orders}) == 5


@pytest.mark.parametrize(("share", "known"), [(0.0, 0), (0.25, 2), (1.0, 8)])
def test_the_share_may_be_none_or_all(share: float, known: int) -> None:
    order = mixed_order(np.array([False] * 6 + [True] * 2), share, np.random.default_rng(0))
    assert (order < 6).sum() == known


@pytest.mark.parametrize("is_new", [[True] * 4, [False] * 4])
def test_items_of_one_kind_alone_are_visited_once_each(is_new: list[bool]) -> None:
    assert sorted(mixed_order(np.array(is_new), 0.5, np.random.default_rng(0))) == [0, 1, 2, 3]
