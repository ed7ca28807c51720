"""A proxy training that was killed and goes on, on tiny volumes."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from training_study import Study
from warm_recipe import write_warm_recipe

from activelabel.loop.training.proxy import ProxyTraining
from activelabel.training.engine.loading import Batch
from activelabel.training.engine.loop import TrainingLoop
from activelabel.training.engine.steps import Step

EPOCHS = 3


class PowerCut(BaseException):
    """An error that no code expects."""


@pytest.fixture
def warm(blobs: Callable[[int], Any], make_study: Callable[..., Study], tmp_path: Path) -> Study:
    """Four blobs, two of them for validation, nothing annotated, and a recipe with a proxy task."""
    return make_study(blobs(4), recipe=write_warm_recipe(tmp_path, epochs=EPOCHS))


def task_of(study: Study) -> ProxyTraining:
    settings = study.project.recipe.proxy
    assert settings is not None
    return ProxyTraining(study.project, settings)


def train(study: Study, **request: Any) -> list[int]:
    """Train, and return the epochs that the statistics showed meanwhile."""
    task, shown = task_of(study), []
    show = task.show

    def watch(stats: dict[str, Any]) -> dict[str, Any]:
        if "epoch" in stats and "total_time" not in stats:
            shown.append(stats["epoch"])
        return show(stats)

    task.show = watch  # type: ignore[method-assign]
    task.run({"model": "proxy", **request}, study)
    return shown


def kill(study: Study, step: int, **request: Any) -> int:
    """Train until just before a step of this process, and return its epoch."""
    epochs, taken = [], iter(range(1, step + 1))
    train_step = TrainingLoop.train_step

    def cut_power(loop: TrainingLoop, batch: Batch) -> Step:
        if next(taken) == step:
            epochs.append(loop.progress.epoch)
            raise PowerCut
        return train_step(loop, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingLoop, "train_step", cut_power)
        with pytest.raises(PowerCut):
            task_of(study).run({"model": "proxy", **request}, study)
    return epochs[0]


def weights_of(study: Study) -> dict[str, torch.Tensor]:
    model = study.project.ledger.latest_model("proxy")
    return study.project.network(model).state_dict()


def resume_folder(study: Study) -> Path:
    return study.project.runs_folder / "resume"


def test_a_killed_training_goes_on_and_publishes_what_an_undisturbed_one_does(
    warm: Study, caplog: pytest.LogCaptureFixture
) -> None:
    assert train(warm) == [0, 1, 2, 3]
    undisturbed, metrics = weights_of(warm), warm.project.ledger.latest_model("proxy").metrics
    assert not resume_folder(warm).exists()

    assert kill(warm, step=8) == EPOCHS  # of three batches each
    assert resume_folder(warm).is_dir()
    with caplog.at_level(logging.INFO, "activelabel"):
        shown = train(warm)

    assert shown == [2, 3]
    assert "training goes on after epoch 2 of 3" in caplog.text
    model = warm.project.ledger.latest_model("proxy")
    assert (model.version, model.metrics) == (2, metrics)
    assert weights_of(warm).keys() == undisturbed.keys()
    assert all(torch.equal(tensor, undisturbed[name]) for name, tensor in weights_of(warm).items())
    assert task_of(warm).stats()["epoch"] == task_of(warm).stats()["total_epochs"] == EPOCHS
    assert not resume_folder(warm).exists()


def test_a_training_killed_before_publishing_trains_no_epoch_again(
    warm: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_power(*arguments: object) -> None:
        raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr("activelabel.loop.training.proxy.publish_model", cut_power)
        with pytest.raises(PowerCut):
            train(warm)

    assert train(warm) == [EPOCHS]
    assert warm.project.ledger.latest_model("proxy").version == 1


def test_only_a_training_with_the_same_inputs_is_resumed(warm: Study, make_study: Callable[..., Study]) -> None:
    """Each training but the first is killed before its first step, so that the state of the first one stays."""
    assert kill(warm, step=4) == 2
    begin = 1
    assert kill(warm, begin) == 2

    assert kill(warm, begin, max_epochs=EPOCHS + 1) == 1
    assert kill(warm, begin, train_batch_size=2) == 1
    recipe = str(warm.studies.parent / "warm.toml")
    assert kill(make_study(warm, recipe=recipe, seed="1"), begin) == 1
    slower = write_warm_recipe(warm.studies.parent, epochs=EPOCHS, learning_rate=1e-3)
    assert kill(make_study(warm, recipe=slower), begin) == 1

    assert kill(warm, begin) == 2
    changed = Path(warm.get_image_uri(warm.ids("training")[0]))
    os.utime(changed, ns=(changed.stat().st_atime_ns, changed.stat().st_mtime_ns - 10**9))
    assert kill(warm, begin) == 1
