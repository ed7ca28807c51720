"""How far a training is: its counts and metrics, and the statistics made of them, with the host's keys."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

Stats = dict[str, Any]


@dataclass
class Best:
    """A metric after each epoch, and its best value so far: -1 before the first."""

    name: str
    value: float | None = None
    best: float = -1.0
    epoch: int = -1

    def note(self, value: float, epoch: int) -> bool:
        """Note the value of an epoch; return whether it is the best so far, the first of equal ones."""
        self.value = value
        if self.epoch != -1 and value <= self.best:
            return False
        self.best, self.epoch = value, epoch
        return True

    def as_stats(self) -> Stats:
        """The host's keys of a metric."""
        return {
            "metrics": {} if self.value is None else {self.name: self.value},
            "key_metric_name": self.name,
            "best_metric": self.best,
            "best_metric_epoch": self.epoch,
        }


@dataclass
class Progress:
    """The state of a training between its steps.

    Attributes:
        epochs: how many epochs it has.
        steps_per_epoch: how many steps an epoch has; the last may have fewer.
        learnt: the Dice on the last patches of each epoch, as they were augmented.
        judged: the metric on the validation cases; None without any.
        epoch: the running epoch, or the last one.
        step: how many steps are over.
        without_better: validations since the best one.
        started: when this process began, in seconds since 1970.
        first_step: how many steps were over when this process began.
    """

    epochs: int
    steps_per_epoch: int
    learnt: Best
    judged: Best | None
    epoch: int = 0
    step: int = 0
    without_better: int = 0
    started: float = field(default_factory=time.time)
    first_step: int = 0

    def seconds_left(self, now: float) -> float | None:
        """How long the remaining steps will take at the pace of this process so far; None before its first step.

        A training that stops early takes less.
        """
        done = self.step - self.first_step
        if done <= 0:
            return None
        return (now - self.started) / done * max(self.epochs * self.steps_per_epoch - self.step, 0)

    def counts(self) -> dict[str, Any]:
        """The counts and metrics by name, from which another process goes on."""
        counts: dict[str, Any] = {name: getattr(self, name) for name in ("epoch", "step", "without_better")}
        for part in ("learnt", "judged"):
            metric = getattr(self, part)
            if metric is not None:
                counts |= {f"{part}.{name}": getattr(metric, name) for name in ("value", "best", "epoch")}
        return counts

    def go_on_from(self, counts: Mapping[str, Any]) -> None:
        """Take over the `counts` of an earlier process of the same training."""
        for name, value in counts.items():
            part = self if "." not in name else getattr(self, name.partition(".")[0])
            setattr(part, name.rpartition(".")[2], value)
        self.first_step = self.step

    def as_stats(self) -> Stats:
        """The host's statistics of a training that runs: the host marks one that is done by a `total_time`."""
        now = time.time()
        shown = {"train": self.learnt} if self.judged is None else {"train": self.learnt, "eval": self.judged}
        return {
            "rank": 0,
            "current_epoch": self.epoch,
            "current_iteration": self.step,
            "total_epochs": self.epochs,
            "total_iterations": self.steps_per_epoch,
            "epoch": self.epoch,
            "start_ts": int(self.started),
            "current_time": str(timedelta(seconds=int(now - self.started))),
            "seconds_left": self.seconds_left(now),
            "best_metric": (self.judged or self.learnt).best,
            **{key: metric.as_stats() for key, metric in shown.items()},
        }
