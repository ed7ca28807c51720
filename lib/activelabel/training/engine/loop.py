"""The loop of a training over its epochs, in one process or in each of several that train together."""

import logging
import shutil
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from activelabel.optional_parts import OptionalPart, optional
from activelabel.prediction.devices.freed_memory import more_kept_for_training
from activelabel.prediction.reflected_windows import ReflectedWindowInferer
from activelabel.training.engine.adamw import AdamW
from activelabel.training.engine.epochs_file import EpochsFile
from activelabel.training.engine.first_network import first_network
from activelabel.training.engine.loading import (
    Batch,
    Cache,
    MemoryLimit,
    annotated_batches,
    in_turn,
    noisy_batches,
    validation_cases,
)
from activelabel.training.engine.plan import Plan, Weights, epochs_of
from activelabel.training.engine.progress import Best, Progress, Stats
from activelabel.training.engine.steps import (
    Learner,
    MixedPrecision,
    SemiSupervisedStep,
    Step,
    TakeStep,
    supervised_step,
)
from activelabel.training.engine.together import ALONE, Together
from activelabel.training.engine.tracking import LOSS, Tracking
from activelabel.training.engine.validation import Validator, drawn_overlap, mean_of
from activelabel.training.losses.by_name import MarkedLabelLoss, build_loss

logger = logging.getLogger(__name__)

_EVENTS = "events"
_DECAY_POWER = 0.9


@dataclass(frozen=True)
class Outcome:
    """The statistics of a training, and the weights of its best epoch: of the last one if none was judged."""

    stats: Stats
    weights: Weights


class TrainingLoop:
    """A training as its plan says.

    Attributes:
        plan: what it depends on.
        progress: how far it is.
        learner: the network and what changes its weights.
        stopped: whether it ends before its last epoch, because validations found nothing better.
    """

    def __init__(self, plan: Plan, show: Callable[[Stats], object], together: Together = ALONE) -> None:
        """Build the network with its first weights; `show` is called with the statistics after each epoch.

        Raises:
            InvalidInputError: a case cannot be read.
        """
        self.plan = plan
        self.stopped = False
        self._show = show
        self._together = together
        device = together.device_of(plan)
        torch.manual_seed(plan.seed)
        settings = plan.training
        network, self._precision = first_network(plan, device, together)
        self.learner = Learner(
            together.shared(network, device),
            MarkedLabelLoss(build_loss(settings.loss, plan.model.labels)),
            # AdamW equals Adam if the weight decay is 0.
            AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True),
            self._precision,
            self._precision.scaler(),
        )
        self._network = network
        self._take_step: TakeStep = supervised_step
        if plan.unannotated is not None:
            self._take_step = SemiSupervisedStep(plan.unannotated.settings, settings.loss, plan.model.labels.overlaps)
        seed = plan.seed + together.rank
        self._cache = Cache(
            plan.folder / f"prepared_{together.rank}", MemoryLimit(plan.cache_bytes, together.processes)
        )
        self._annotated = annotated_batches(plan, seed, self._cache)
        self._noisy = noisy_batches(plan, seed, self._cache)
        self._judges = validation_cases(plan, together.part_of(plan.validation), self._cache)
        self.progress = self._first_progress()
        self._validator = validator_of(plan, self._precision)
        self._best: Weights | None = None
        self._epochs_file: EpochsFile | None = None
        self._written_at = time.monotonic()

    def run(self) -> Outcome:
        """Train to the end. Raises as `__init__`."""
        events = self.plan.folder / _EVENTS if self.plan.event_files else None
        tracking = Tracking(events, self.plan.tracked) if self._together.is_first else None
        writing = OptionalPart("an interrupted training will begin anew")
        if self.plan.epochs_file is not None:
            self._open_epochs_file()
            self.show()
        try:
            with self._freed_memory_kept(), closing(self._batches()) as batches:
                while self.progress.epoch < self.progress.epochs and not self.stopped:
                    self.run_epoch(batches, tracking)
                    if self._epochs_file is not None and self._together.is_first:
                        writing.run(self._write_epochs_file_if_due)
        finally:
            if tracking is not None:
                tracking.close()
            shutil.rmtree(self._cache.folder, ignore_errors=True)
        return Outcome(self.progress.as_stats(), self._best or _copy(self._network))

    def run_epoch(self, batches: Iterator[Batch], tracking: Tracking | None = None) -> None:
        """Learn from the batches of the next epoch, validate where the plan says so, and show the statistics."""
        progress = self.progress
        progress.epoch += 1
        self._begin_epoch()
        losses, last = [], progress.epoch == progress.epochs
        steps = self._all_steps - progress.step if last else progress.steps_per_epoch
        for _ in range(steps):
            batch = next(batches)
            step = self.train_step(batch)
            progress.step += 1
            losses.append(step.loss)
            if self._is_validated_after_step():
                self.validate()
                if self.stopped:
                    break
        self._note_learnt(step.logits, batch["label"])
        if self._is_validated_after_epoch():
            self.validate()
        if tracking is not None:
            self._track(tracking, losses)
        self.show()

    def train_step(self, batch: Batch) -> Step:
        """Learn from one batch."""
        device = self._precision.device
        placed = {key: values.to(device, non_blocking=True) for key, values in batch.items()}
        return self._take_step(self.learner, placed)

    def validate(self) -> None:
        """Measure the network on the validation cases, keep its weights if it is the best, and count if it is not."""
        progress = self.progress
        if progress.judged is None:
            return
        found = self._validator.measure(self._network, (self._judges[number] for number in range(len(self._judges))))
        self.learner.network.train()
        value = mean_of(self._together.gathered(found))
        logger.info("epoch %d: %s %.4f", progress.epoch, progress.judged.name, value)
        if progress.judged.note(value, progress.epoch):
            self._best, progress.without_better = _copy(self._network), 0
            return
        progress.without_better += 1
        patience = self.plan.training.patience
        if patience is not None and progress.without_better >= patience:
            logger.info("training ends early: the last %d validations found nothing better", patience)
            self.stopped = True

    def show(self) -> None:
        """Show the statistics."""
        if self._together.is_first:
            self._show(self.progress.as_stats())

    def learning_rate(self, epoch: int) -> float:
        """The rate of an epoch: it decays nearly linearly to 0 after the last one, or stays as it is."""
        settings = self.plan.training
        left = 1 - (epoch - 1) / self.progress.epochs
        return settings.learning_rate * (left**_DECAY_POWER if settings.learning_rate_decay else 1)

    def _first_progress(self) -> Progress:
        settings = self.plan.training
        passes = -(-self._annotated.of_a_pass // self._together.processes)
        steps_per_epoch, epochs = settings.steps_per_epoch or passes, settings.epochs
        if self.plan.steps is not None:
            epochs = epochs_of(self.plan.steps, steps_per_epoch)
        self._all_steps = self.plan.steps or epochs * steps_per_epoch
        judged = Best(f"val_mean_{settings.best_by}") if self.plan.validation else None
        return Progress(epochs, steps_per_epoch, Best("train_mean_dice"), judged)

    def _freed_memory_kept(self) -> AbstractContextManager[None]:
        on_cpu = self._precision.device.type == "cpu"
        return more_kept_for_training(self._together.processes) if on_cpu else nullcontext()

    def _batches(self) -> Generator[Batch, None, None]:
        """The batches of the steps that are left."""
        processes, rank = self._together.processes, self._together.rank

        def make(step: int) -> Batch:
            number = step * processes + rank
            batch = self._annotated(number)
            if self._noisy is not None:
                batch |= self._noisy(number)
            pinned = self._precision.device.type == "cuda"
            return {key: values.pin_memory() for key, values in batch.items()} if pinned else batch

        return in_turn(make, range(self.progress.step, self._all_steps), self.plan.ahead)

    def _begin_epoch(self) -> None:
        """Set the learning rate, seed dropout, and put the network into training mode, which takes 3 ms."""
        self.learner.network.train()
        for group in self.learner.optimizer.param_groups:
            group["lr"] = self.learning_rate(self.progress.epoch)
        torch.manual_seed(seed_of(self.plan.seed + self._together.rank, self.progress.epoch))

    def _is_validated_after_step(self) -> bool:
        every = self.plan.training.validate_every_steps
        return every is not None and self.progress.step % min(every, self._all_steps) == 0

    def _is_validated_after_epoch(self) -> bool:
        settings = self.plan.training
        return settings.validate_every_steps is None and self.progress.epoch % settings.validate_every == 0

    def _note_learnt(self, logits: Tensor, label: Tensor) -> None:
        """Note the Dice on the last patches of an epoch; one of each step would cost as much as the step."""
        labels, label = self.plan.model.labels, label.to(logits.device)
        found = [drawn_overlap(one, other, labels, "dice") for one, other in zip(logits, label, strict=True)]
        self.progress.learnt.note(mean_of(found), self.progress.epoch)

    def _track(self, tracking: Tracking, losses: list[Tensor]) -> None:
        progress = self.progress
        first = progress.step - len(losses) + 1
        values = torch.stack(losses).tolist()
        logger.info("epoch %d of %d: mean loss %.4f", progress.epoch, progress.epochs, sum(values) / len(values))
        tracking.write(LOSS, list(enumerate(values, start=first)))
        for metric in filter(None, (progress.learnt, progress.judged)):
            if metric.value is not None:
                tracking.write(metric.name, [(progress.epoch, metric.value)])

    def _open_epochs_file(self) -> None:
        """Continue from the file of the plan, if it holds this training."""
        assert self.plan.epochs_file is not None
        state = None
        with optional("training begins anew, not with the epochs before it was interrupted"):
            identity = self.plan.identity(self._network, self._together.processes)
            self._epochs_file = EpochsFile(self.plan.epochs_file, identity)
            state = self._epochs_file.read()
        if state is None:
            return
        self._network.load_state_dict(state["network"])
        self.learner.optimizer.load_state_dict(state["optimizer"])
        self.learner.scaler.load_state_dict(state["scaler"])
        self._best, self.stopped = state["best"], state["stopped"]
        self.progress.go_on_from(state["progress"])
        logger.info("training goes on after epoch %d of %d", self.progress.epoch, self.progress.epochs)

    def _write_epochs_file_if_due(self) -> None:
        assert self._epochs_file is not None
        if time.monotonic() - self._written_at < self.plan.epochs_file_seconds:
            return
        self._written_at = time.monotonic()
        self._epochs_file.write(
            {
                "network": self._network.state_dict(),
                "optimizer": self.learner.optimizer.state_dict(),
                "scaler": self.learner.scaler.state_dict(),
                "best": self._best,
                "stopped": self.stopped,
                "progress": self.progress.counts(),
            }
        )


def validator_of(plan: Plan, precision: MixedPrecision) -> Validator:
    """The validation of a plan, with the windows of a prediction."""
    windows = plan.prediction
    inferer = ReflectedWindowInferer(
        windows.window_size, windows.window_overlap, plan.training.batch_size, windows.window_margin
    )
    return Validator(inferer, plan.model.labels, plan.training.best_by, precision)


def seed_of(seed: int, epoch: int) -> int:
    """The seed of torch's random numbers in an epoch."""
    return int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0])


def _copy(network: nn.Module) -> Weights:
    """The weights of a network now, on the CPU."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in network.state_dict().items()}
