"""The host's background tasks, with the interface that the autopilot needs."""

from collections.abc import Mapping
from typing import NamedTuple

from monailabel.utils.async_tasks.task import AsyncTask
from monailabel.utils.async_tasks.utils import tasks

from activelabel.loop.due import Work

_UNFINISHED = ("SUBMITTED", "RUNNING")


class Running(NamedTuple):
    """A task that runs or is queued: `train` or `scoring`, and the name of the trainer or the scoring method."""

    method: str
    name: str


def running_tasks() -> tuple[Running, ...]:
    """The trainings and scorings that run or are queued, oldest first, whoever started them."""
    return tuple(
        Running(method, str(task["request"].get(key)))
        for method, key in (("train", "model"), ("scoring", "method"))
        for task in tasks(method)
        if task["status"] in _UNFINISHED
    )


class HostTasks:
    """Queues trainings and scorings in the same queue as the clients' buttons do."""

    def __init__(self, trainers: Mapping[Work, str], scoring_methods: Mapping[Work, str]) -> None:
        """Map each kind of work to a trainer or to a scoring method."""
        self._trainers = trainers
        self._scoring_methods = scoring_methods

    def busy(self) -> bool:
        """Whether a training or a scoring is queued or running."""
        return bool(running_tasks())

    def start(self, work: Work) -> None:
        """Queue a training or a scoring in a process of its own."""
        if work in self._trainers:
            AsyncTask.run("train", request={"model": self._trainers[work]}, enqueue=True)
        else:
            AsyncTask.run("scoring", request={"method": self._scoring_methods[work]}, enqueue=True)
