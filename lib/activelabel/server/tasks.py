"""The host's background tasks, as the autopilot needs them."""

from monailabel.utils.async_tasks.task import AsyncTask
from monailabel.utils.async_tasks.utils import tasks

from activelabel.server.autopilot import Work

_UNFINISHED = ("SUBMITTED", "RUNNING")


class HostTasks:
    """Queues trainings and scorings as the clients' buttons do, so that both see each other's."""

    def __init__(self, trainer: str, scoring_method: str) -> None:
        self._trainer = trainer
        self._scoring_method = scoring_method

    def busy(self) -> bool:
        """Whether a training or a scoring is queued or running."""
        return any(task["status"] in _UNFINISHED for method in ("train", "scoring") for task in tasks(method))

    def start(self, work: Work) -> None:
        """Queue a training or a scoring in a process of its own."""
        if work is Work.TRAIN:
            AsyncTask.run("train", request={"model": self._trainer}, enqueue=True)
        else:
            AsyncTask.run("scoring", request={"method": self._scoring_method}, enqueue=True)
