"""Resuming after the last completed epoch: a linear network, MONAI's own engines, milliseconds an epoch."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from activelabel.loop.training.epoch_checkpoint import EpochCheckpoint
from ignite.engine import Engine, Events
from ignite.metrics import Metric
from monai.data import Dataset, ThreadDataLoader
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import ValidationHandler
from monai.transforms import RandomizableTransform
from monailabel.tasks.train.basic_train import Context
from torch import nn

EPOCHS = 5


class PowerCut(BaseException):
    """An error that no code expects."""


class Noisy(RandomizableTransform):
    def __call__(self, item: torch.Tensor) -> dict[str, torch.Tensor]:
        image = item + float(self.R.standard_normal())
        return {"image": image, "label": image.sum()[None]}


class Scripted(Metric):
    """Validation scores that are fixed in advance for each epoch."""

    def __init__(self, scores: Sequence[float], trainer: Engine) -> None:
        self._scores, self._trainer = scores, trainer
        super().__init__()

    def reset(self) -> None:
        pass

    def update(self, output: Any) -> None:
        pass

    def compute(self) -> float:
        return self._scores[self._trainer.state.epoch - 1]


class Training:
    """The training of one process: epochs of four batches, dropout, Adam, cases in random order with random noise."""

    def __init__(
        self, folder: Path, *, scores: Sequence[float] | None = None, identity: str = "a", seed: int = 3
    ) -> None:
        torch.manual_seed(seed)
        self.epochs: list[int] = []
        self.context = context = Context()
        context.output_dir = str(folder)
        context.network = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 1))
        context.optimizer = torch.optim.Adam(context.network.parameters(), lr=0.1)
        parts = {"device": torch.device("cpu"), "network": context.network}
        loader = ThreadDataLoader(Dataset([torch.ones(3) * k for k in range(8)], Noisy()), batch_size=2, shuffle=True)
        context.trainer = SupervisedTrainer(
            **parts,
            max_epochs=EPOCHS,
            train_data_loader=loader,
            optimizer=context.optimizer,
            loss_function=nn.MSELoss(),
            decollate=False,
        )
        if scores is not None:
            metric = {"score": Scripted(scores, context.trainer)}
            judged = ThreadDataLoader(Dataset([torch.ones(3)], Noisy()), batch_size=1)
            context.evaluator = SupervisedEvaluator(**parts, val_data_loader=judged, key_val_metric=metric)
            ValidationHandler(1, context.evaluator).attach(context.trainer)
        EpochCheckpoint(folder / "resume" / "epochs.pt", identity, seed).attach(context, "best.pt")
        context.trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: self.epochs.append(engine.state.epoch))

    def run(self) -> dict[str, torch.Tensor]:
        self.context.trainer.run()
        return {name: tensor.clone() for name, tensor in self.context.network.state_dict().items()}

    def killed_at(self, event: Any) -> None:
        def cut_power(_: Engine) -> None:
            raise PowerCut

        self.context.trainer.add_event_handler(event, cut_power)
        with pytest.raises(PowerCut):
            self.context.trainer.run()


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """The folders of an undisturbed training and of one that is killed."""
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    calm.mkdir()
    killed.mkdir()
    with torch.random.fork_rng():
        yield calm, killed


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("event", "left"),
    [
        (Events.EPOCH_COMPLETED(once=3), [4, 5]),
        (Events.ITERATION_COMPLETED(once=14), [4, 5]),  # in the middle of the fourth epoch
        (Events.EPOCH_STARTED(once=1), [1, 2, 3, 4, 5]),  # no epoch was completed
        (Events.COMPLETED, []),  # trained, and not published
    ],
)
def test_after_a_kill_only_the_epochs_that_are_left_are_trained_and_the_outcome_is_the_same(
    folders: tuple[Path, Path], event: Any, left: list[int]
) -> None:
    calm, killed = folders
    undisturbed = Training(calm).run()

    Training(killed).killed_at(event)
    second = Training(killed)
    weights = second.run()

    assert second.epochs == left
    assert equal(weights, undisturbed)
    assert second.context.trainer.state.iteration == 4 * EPOCHS


def test_a_training_killed_twice_is_still_the_same(folders: tuple[Path, Path]) -> None:
    calm, killed = folders
    undisturbed = Training(calm).run()

    Training(killed).killed_at(Events.EPOCH_COMPLETED(once=1))
    Training(killed).killed_at(Events.EPOCH_COMPLETED(once=4))
    resumed = Training(killed)

    assert equal(resumed.run(), undisturbed)
    assert resumed.epochs == [5]


def test_each_epoch_has_its_own_random_numbers(folders: tuple[Path, Path]) -> None:
    training = Training(folders[0])
    drawn: list[torch.Tensor] = []
    training.context.trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: drawn.append(engine.state.batch["image"].sum())
    )
    training.run()
    assert len({round(float(each), 5) for each in drawn}) == 4 * EPOCHS


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([0.1, 0.9, 0.2, 0.8, 0.3], 2),  # before the kill, with a second best after it
        ([0.1, 0.5, 0.2, 0.9, 0.3], 4),  # after it
        ([0.1, 0.5, 0.2, 0.5, 0.3], 2),  # the first of two equal ones
    ],
)
def test_the_best_epoch_is_that_of_both_processes(folders: tuple[Path, Path], scores: list[float], best: int) -> None:
    calm, killed = folders
    undisturbed, at_best = Training(calm, scores=scores), {}
    network = undisturbed.context.network
    undisturbed.context.trainer.add_event_handler(
        Events.EPOCH_COMPLETED(once=best),
        lambda _: at_best.update({name: tensor.clone() for name, tensor in network.state_dict().items()}),
    )
    undisturbed.run()

    Training(killed, scores=scores).killed_at(Events.EPOCH_COMPLETED(once=3))
    second = Training(killed, scores=scores)
    second.run()

    state = second.context.evaluator.state
    assert (state.best_metric, state.best_metric_epoch) == (scores[best - 1], best)
    for folder in folders:
        assert equal(torch.load(folder / "best.pt", weights_only=True), at_best)


def test_another_training_begins_anew_and_the_log_says_so(
    folders: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    calm, killed = folders
    undisturbed = Training(calm).run()
    Training(killed, identity="b").killed_at(Events.EPOCH_COMPLETED(once=3))

    with caplog.at_level(logging.INFO, "activelabel"):
        second = Training(killed, identity="a")
        weights = second.run()

    assert second.epochs == [1, 2, 3, 4, 5]
    assert equal(weights, undisturbed)
    (line,) = [record.message for record in caplog.records if record.name.startswith("activelabel")]
    assert "begins anew" in line
    assert "another training" in line


@pytest.mark.parametrize("damage", ["empty", "cut", "one bit"])
def test_a_damaged_file_is_one_line_in_the_log(
    folders: tuple[Path, Path], damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    calm, killed = folders
    undisturbed = Training(calm).run()
    Training(killed).killed_at(Events.EPOCH_COMPLETED(once=3))
    file = killed / "resume" / "epochs.pt"
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes({"empty": b"", "cut": bytes(raw[:-100]), "one bit": bytes(raw)}[damage])

    with caplog.at_level(logging.INFO, "activelabel"):
        second = Training(killed)
        weights = second.run()

    assert second.epochs == [1, 2, 3, 4, 5]
    assert equal(weights, undisturbed)
    (line,) = [record.message for record in caplog.records if record.name.startswith("activelabel")]
    assert "begins anew" in line
    assert "epochs.pt: the file is damaged" in line


def test_the_epoch_at_which_a_training_resumes_is_one_line_in_the_log(
    folders: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    Training(folders[1]).killed_at(Events.EPOCH_COMPLETED(once=3))
    with caplog.at_level(logging.INFO, "activelabel"):
        Training(folders[1]).run()
    assert "training goes on after epoch 3 of 5" in caplog.text
