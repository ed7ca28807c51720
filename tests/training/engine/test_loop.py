"""A training that is killed and goes on, on tiny volumes without a project: its epochs, its weights, its best epoch."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_plan import tiny_plan

from activelabel.training.engine.loading import Batch
from activelabel.training.engine.loop import Outcome, TrainingLoop
from activelabel.training.engine.plan import Plan
from activelabel.training.engine.steps import Step

EPOCHS = 4


class PowerCut(BaseException):
    """An error that no code expects."""


@pytest.fixture
def plan(blobs: Callable[[int], Any], tmp_path: Path) -> Plan:
    """Four cases in steps of two, one to validate."""
    plan = tiny_plan(blobs(5), tmp_path, EPOCHS, validation=1)
    return replace(plan, epochs_file=tmp_path / "resume" / "epochs.pt")


def run(plan: Plan, kill: tuple[str, int] | None = None) -> tuple[Outcome | None, list[int]]:
    """Train to the end, or to a step or the end of an epoch; return the outcome and the epochs of all steps."""
    steps: list[int] = []
    train_step, run_epoch = TrainingLoop.train_step, TrainingLoop.run_epoch

    def step(loop: TrainingLoop, batch: Batch) -> Step:
        if kill == ("step", loop.progress.step):
            raise PowerCut
        steps.append(loop.progress.epoch)
        return train_step(loop, batch)

    def epoch(loop: TrainingLoop, *arguments: Any) -> None:
        if kill == ("epoch", loop.progress.epoch):
            raise PowerCut
        run_epoch(loop, *arguments)

    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        patch.setattr(TrainingLoop, "train_step", step)
        patch.setattr(TrainingLoop, "run_epoch", epoch)
        loop = TrainingLoop(plan, lambda stats: None)
        if kill is None:
            return loop.run(), steps
        with pytest.raises(PowerCut):
            loop.run()
        return None, steps


def weights_of(outcome: Outcome | None) -> dict[str, torch.Tensor]:
    assert outcome is not None
    return dict(outcome.weights)


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("kill", "left"),
    [
        (("epoch", 2), [3, 3, 4, 4]),
        (("step", 5), [3, 3, 4, 4]),  # in the middle of the third epoch
        (("step", 1), [1, 1, 2, 2, 3, 3, 4, 4]),  # no epoch was completed
    ],
)
def test_after_a_kill_only_the_epochs_that_are_left_are_trained_and_the_outcome_is_the_same(
    plan: Plan, kill: tuple[str, int], left: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    undisturbed, _ = run(replace(plan, epochs_file=None))

    run(plan, kill)
    with caplog.at_level(logging.INFO, "activelabel"):
        outcome, steps = run(plan)

    assert steps == left
    assert equal(weights_of(outcome), weights_of(undisturbed))
    assert (f"training goes on after epoch 2 of {EPOCHS}" in caplog.text) == (len(left) == 4)
    assert outcome is not None
    assert outcome.stats["eval"] == undisturbed.stats["eval"]  # type: ignore[union-attr]


def test_a_training_that_was_killed_after_its_last_epoch_takes_no_step(plan: Plan) -> None:
    first, _ = run(plan)
    again, steps = run(plan)
    assert steps == []
    assert equal(weights_of(first), weights_of(again))


def with_scores(scores: Sequence[float], patch: pytest.MonkeyPatch) -> None:
    """Let each epoch have a score that is fixed in advance."""

    def measure(loop: TrainingLoop) -> list[float]:
        return [scores[loop.progress.epoch - 1]]

    validate = TrainingLoop.validate

    def scripted(loop: TrainingLoop) -> None:
        patch.setattr(loop._validator, "measure", lambda *_: measure(loop))
        validate(loop)

    patch.setattr(TrainingLoop, "validate", scripted)


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([0.1, 0.9, 0.2, 0.8], 2),  # before the kill, with a second best after it
        ([0.1, 0.5, 0.2, 0.9], 4),  # after it
        ([0.1, 0.5, 0.2, 0.5], 2),  # the first of two equal ones
    ],
)
def test_the_best_epoch_is_that_of_both_processes(
    plan: Plan, scores: list[float], best: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_scores(scores, monkeypatch)
    undisturbed, _ = run(replace(plan, epochs_file=None))
    run(plan, ("epoch", 3))
    outcome, _ = run(plan)

    for each in (undisturbed, outcome):
        assert each is not None
        assert (each.stats["best_metric"], each.stats["eval"]["best_metric_epoch"]) == (scores[best - 1], best)
    assert equal(weights_of(outcome), weights_of(undisturbed))


def test_patience_is_counted_over_both_processes(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two validations without a better one, the first before the kill: the fourth epoch is not reached."""
    with_scores([0.9, 0.1, 0.1, 1.0], monkeypatch)
    patient = replace(plan, training=plan.training.model_copy(update={"patience": 2}))
    run(patient, ("epoch", 2))
    outcome, steps = run(patient)
    assert steps == [3, 3]
    assert outcome is not None
    assert outcome.stats["epoch"] == 3
    assert run(patient)[1] == [], "it stays stopped"


def test_the_network_is_in_training_mode_at_each_step_also_after_a_validation(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[bool] = []
    train_step = TrainingLoop.train_step

    def step(loop: TrainingLoop, batch: Batch) -> Step:
        modes.append(all(layer.training for layer in loop.learner.network.modules()))
        return train_step(loop, batch)

    monkeypatch.setattr(TrainingLoop, "train_step", step)
    by_steps = plan.training.model_copy(update={"validate_every_steps": 1})
    run(replace(plan, training=by_steps, epochs_file=None))
    assert modes == [True] * 2 * EPOCHS


def test_a_batch_is_the_same_whether_made_ahead_or_not(plan: Plan) -> None:
    outcomes = [run(replace(plan, ahead=ahead, epochs_file=None))[0] for ahead in (True, False)]
    assert equal(*map(weights_of, outcomes))


def test_without_validation_cases_the_last_weights_are_the_outcome(plan: Plan) -> None:
    outcome, _ = run(replace(plan, validation=[], epochs_file=None))
    assert outcome is not None
    assert "eval" not in outcome.stats
    assert outcome.stats["best_metric"] == outcome.stats["train"]["best_metric"]
    judged, _ = run(replace(plan, epochs_file=None))
    assert judged is not None
    assert equal(dict(outcome.weights), dict(judged.weights)) == (judged.stats["eval"]["best_metric_epoch"] == EPOCHS)
