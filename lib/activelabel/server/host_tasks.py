"""The host's background tasks, as the autopilot needs them."""

from collections.abc import Mapping

from monailabel.utils.async_tasks.task import AsyncTask
from monailabel.utils.async_tasks.utils import tasks

from activelabel.loop.due import Work

_UNFINISHED = ("SUBMITTED", "RUNNING")


class HostTasks:
    """Queues trainings and scorings as the clients' buttons do, so that both see each other's."""

    def __init__(self, trainers: Mapping[Work, str], scoring_methods: Mapping[Work, str]) -> None:
        """Which trainer, or else which scoring method, does which work."""
        self._trainers = trainers
        self._scoring_methods = scoring_methods

    def busy(self) -> bool:
        """Whether a training or a scoring is queued or running."""
        return any(task["status"] in _UNFINISHED for method in ("train", "scoring") for task in tasks(method))

    def start(self, work: Work) -> None:
        """Queue a training or a scoring in a process of its own."""
        if work in self._trainers:
            AsyncTask.run("train", request={"model": self._trainers[work]}, enqueue=True)
        else:
            AsyncTask.run("scoring", request={"method": self._scoring_methods[work]}, enqueue=True)
