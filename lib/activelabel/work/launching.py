"""Starts as many workers as there is work for, on a Ray cluster: the local machine, or one at an address.

Ray only starts processes and says which of them live. Which worker does what is decided by the claims in the ledger, so
a worker that Ray loses costs nothing but its image in hand.
"""

import logging
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from activelabel.errors import InvalidInputError

logger = logging.getLogger(__name__)

Task = Callable[[Callable[[], bool]], int]
"""What a worker does until the given function says that it is stopped; it returns how many pieces were done."""


@dataclass(frozen=True)
class Fleet:
    """How many workers run.

    Attributes:
        most: the largest number of workers at once.
        per_worker: one worker is started for so many pieces that are left.
        address: the address of a Ray cluster; empty for one on this machine.
        cpus: the processor cores of a worker.
        gpus: the GPUs of a worker.
        look_seconds: how often the number is adjusted.
    """

    most: int
    per_worker: int = 4
    address: str = ""
    cpus: float = 1
    gpus: float = 0
    look_seconds: float = 2.0

    def wanted(self, left: int) -> int:
        """The number of workers for so many pieces that are left."""
        return min(self.most, math.ceil(left / self.per_worker))


class RayWorkers:
    """The workers of a fleet as actors of a Ray cluster.

    Attributes:
        done: how many pieces the workers that have ended had done.
    """

    def __init__(self, fleet: Fleet, task: Task) -> None:
        """Connect to the cluster, or start one on this machine.

        Raises:
            InvalidInputError: Ray is not installed, or the cluster does not answer.
        """
        try:
            import ray
        except ModuleNotFoundError as error:
            raise InvalidInputError(
                "--ray: needs the package ray: run: pip install 'activelabel[ray]', or start workers by yourself"
            ) from error
        self._ray = ray
        self._fleet = fleet
        self._task = task
        self._running: dict[Any, Any] = {}  # the pending result of each actor, and the actor
        self.done = 0
        places = {"address": fleet.address} if fleet.address else {"num_cpus": math.ceil(fleet.most * fleet.cpus)}
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
        try:
            ray.init(**places, include_dashboard=False, logging_level="warning", ignore_reinit_error=True)
        except (ConnectionError, TimeoutError) as error:
            raise InvalidInputError(f"--ray-address {fleet.address}: no Ray cluster answers there ({error})") from error
        self._actor = ray.remote(max_concurrency=2, num_cpus=fleet.cpus, num_gpus=fleet.gpus)(_Actor)

    def __len__(self) -> int:
        return len(self._running)

    def scale(self, wanted: int) -> None:
        """Start workers, or tell some to stop, so that this many run; count those that have ended or were lost."""
        self._collect()
        for _ in range(wanted - len(self._running)):
            actor = self._actor.remote(self._task)
            self._running[actor.run.remote()] = actor
        for actor in list(self._running.values())[wanted:]:
            actor.stop.remote()

    def process_ids(self) -> list[int]:
        """The ids of the processes of the workers, on a cluster of this machine."""
        return [int(self._ray.get(actor.process_id.remote())) for actor in list(self._running.values())]

    def stop(self) -> None:
        """Tell all workers to stop, wait until they have given back what they hold, and leave the cluster."""
        for actor in self._running.values():
            actor.stop.remote()
        while self._running:
            self._ray.wait(list(self._running), timeout=1)
            self._collect()
        self._ray.shutdown()

    def _collect(self) -> None:
        if not self._running:
            return
        ended, _ = self._ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
        for result in ended:
            actor = self._running.pop(result)
            try:
                self.done += self._ray.get(result)
            except self._ray.exceptions.RayActorError as error:
                logger.warning("a worker was lost: %s", str(error).splitlines()[0])
            self._ray.kill(actor)


def keep_fleet(
    workers: RayWorkers, fleet: Fleet, left: Callable[[], int], stopped: Callable[[], bool], until_done: bool
) -> None:
    """Adjust the number of workers to what is left until this is stopped; with `until_done`, until nothing is left."""
    before = -1
    while not stopped():
        count = left()
        if until_done and not count:
            break
        workers.scale(fleet.wanted(count))
        if len(workers) != before:
            logger.info("%d left: %d workers", count, len(workers))
        before = len(workers)
        end = time.monotonic() + fleet.look_seconds
        while time.monotonic() < end and not stopped():
            time.sleep(0.1)
    workers.stop()


class _Actor:
    """A worker in a process of Ray's: one thread works, another hears that it is to stop."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._stopped = False

    def run(self) -> int:
        """Work until stopped or done."""
        return self._task(lambda: self._stopped)

    def stop(self) -> None:
        """Finish what is in hand, and end."""
        self._stopped = True

    def process_id(self) -> int:
        """The id of this process."""
        return os.getpid()
