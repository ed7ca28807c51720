"""Starts as many workers as there is work for, on a Ray cluster: the local machine, or one at an address.

Ray only starts processes and says which of them live. Which worker does what is decided by the claims in the ledger, so
a worker that Ray loses costs nothing but its image in hand.
"""

import logging
import math
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from activelabel.errors import ActiveLabelError, InvalidInputError, NotReadyError, UnavailableError
from activelabel.work.ray_cluster import connect
from activelabel.work.tries import RARELY_SECONDS, ImagesLeftError

logger = logging.getLogger(__name__)

Task = Callable[[Callable[[], bool]], int]
"""What a worker does until the given function says that it is stopped; it returns how many pieces were done."""

_ANSWER_SECONDS = 10


@dataclass(frozen=True)
class Fleet:
    """How many workers run.

    Attributes:
        most: the largest number of workers at once; None for as many as the cluster has room for at the start.
        per_worker: one worker is started for so many pieces that are left.
        address: the address of a Ray cluster; empty for one on this machine.
        cpus: the processor cores of a worker.
        gpus: the GPUs of a worker.
        look_seconds: how often the number is adjusted.
    """

    most: int | None
    per_worker: int = 4
    address: str = ""
    cpus: float = 1
    gpus: float = 0
    look_seconds: float = 2.0

    def room(self, resources: Mapping[str, float]) -> int:
        """The number of workers that fit on the processors and GPUs of a cluster, at least one."""
        fit = resources.get("CPU", 0) / self.cpus
        if self.gpus:
            fit = min(fit, resources.get("GPU", 0) / self.gpus)
        return max(int(fit), 1)


@dataclass(frozen=True)
class _Started:
    """An actor, and what is there once a node has had room for it: the name of the node and the id of its process."""

    actor: Any
    place: Any


class RayWorkers:
    """The workers of a fleet as actors of a Ray cluster.

    A worker that ends with an error that its user can mend is not replaced: its machine would fail again. One that
    ends because the ledger or the images do not answer is, at the next look. For images that one could not get another
    one is started after a while.

    Attributes:
        most: the largest number of workers at once.
        done: how many pieces the workers that have ended had done.
        given_up: the error of the last worker that ended with nothing left but images that it could not get; None if
            there is none, or if it is time to try them again.
    """

    def __init__(self, fleet: Fleet, task: Task) -> None:
        """Connect to the cluster, or start one on this machine.

        Raises:
            InvalidInputError: Ray is not installed, the cluster does not answer or has another version of Ray or
                Python, or this machine is none of its nodes.
        """
        try:
            import ray
        except ModuleNotFoundError as error:
            raise InvalidInputError(
                "--ray: needs the package ray: run: pip install 'activelabel[ray]', or start workers by yourself"
            ) from error
        self._ray = ray
        self._task = task
        self._running: dict[Any, _Started] = {}  # by the pending result of each
        self._failed = 0
        self._given_up_at = 0.0
        self.done = 0
        self.given_up: ImagesLeftError | None = None
        connect(ray, fleet.address, math.ceil((fleet.most or os.cpu_count() or 1) * fleet.cpus))
        self.most = fleet.most or fleet.room(ray.cluster_resources())
        self._actor = ray.remote(max_concurrency=2, num_cpus=fleet.cpus, num_gpus=fleet.gpus)(_Actor)

    def __len__(self) -> int:
        return len(self._running)

    def scale(self, left: int, per_worker: int = 1) -> None:
        """Start workers, or tell some to stop, so that one runs for so many pieces that are left; count what has ended.

        For images that a worker has just given up none is started, but those that run may try to get them. Workers that
        no node has room for are the first that go: a node that is added for them would find no work.

        Raises:
            ActiveLabelError: as many workers as there may be have ended with an error; it is that of the last one.
        """
        error = self._collect()
        if error is not None and self._failed >= self.most:
            raise error
        wanted = min(self._wanted(left, per_worker), self.most - self._failed)
        for _ in range(wanted - len(self._running)):
            actor = self._actor.remote(self._task)
            self._running[actor.run.remote()] = _Started(actor, actor.place.remote())
        if len(self._running) > wanted:
            self._end(wanted)

    def _wanted(self, left: int, per_worker: int) -> int:
        """How many workers so many pieces are for, without those that were given up a short while ago."""
        wanted, given_up = math.ceil(left / per_worker), self.given_up
        if given_up is None:
            return wanted
        if left < given_up.left or time.monotonic() - self._given_up_at >= RARELY_SECONDS:
            self.given_up = None  # others have got them, so that what is left are perhaps other images; or it is time
            return wanted
        return max(math.ceil((left - given_up.left) / per_worker), min(wanted, len(self._running)))

    def waiting(self) -> int:
        """How many workers no node has had room for yet."""
        return len(self._running) - len(self._placed())

    def process_ids(self) -> list[int]:
        """The ids of the processes of the workers, on a cluster of this machine."""
        return [int(self._ray.get(started.place)[1]) for started in list(self._running.values())]

    def stop(self) -> None:
        """Tell all workers to stop, wait until they have given back what they hold, and leave the cluster."""
        try:
            self._end(0)
            while self._running:
                self._ray.wait(list(self._running), timeout=1)
                self._collect()
                self._end(0)
        finally:
            self._ray.shutdown()

    def _placed(self) -> set[Any]:
        """The pending results of the workers that have a process, or had one."""
        alive = {started.place: result for result, started in self._running.items()}
        if not alive:
            return set()
        ready, _ = self._ray.wait(list(alive), num_returns=len(alive), timeout=0)
        return {alive[place] for place in ready}

    def _end(self, wanted: int) -> None:
        """Tell all workers but so many to stop; one without a process cannot hear that, and is taken back."""
        placed = self._placed()
        by_place = sorted(self._running, key=lambda result: result not in placed)
        for result in by_place[wanted:]:
            started = self._running[result]
            if result in placed:
                started.actor.stop.remote()
            else:
                del self._running[result]
                self._ray.kill(started.actor)

    def _collect(self) -> ActiveLabelError | None:
        """Count the workers that have ended; return the error of the last one that ended with one."""
        failure: ActiveLabelError | None = None
        if not self._running:
            return failure
        ended, _ = self._ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
        for result in ended:
            started = self._running.pop(result)
            try:
                self.done += self._ray.get(result)
            except self._ray.exceptions.RayActorError as error:
                logger.warning("a worker was lost: %s", str(error).splitlines()[0])
            except self._ray.exceptions.RayTaskError as error:
                cause, node = error.cause, self._node_of(started)
                if not isinstance(cause, ActiveLabelError):
                    raise
                if isinstance(cause, UnavailableError | NotReadyError):
                    logger.warning("a worker on %s ended, another one is started: %s", node, cause)
                elif isinstance(cause, ImagesLeftError):
                    logger.warning("a worker on %s ended: %s", node, cause)
                    self.done += cause.done
                    self.given_up, self._given_up_at = cause, time.monotonic()
                else:
                    failure = cause
                    self._failed += 1
                    logger.error("a worker on %s ended and is not replaced: %s", node, failure)
            finally:
                self._ray.kill(started.actor)
        return failure

    def _node_of(self, started: _Started) -> str:
        """The name of the node of a worker that has ended; its node may have gone meanwhile."""
        try:
            return str(self._ray.get(started.place, timeout=_ANSWER_SECONDS)[0])
        except (self._ray.exceptions.RayError, TimeoutError):
            return "a node that is gone"


def keep_fleet(
    workers: RayWorkers, fleet: Fleet, left: Callable[[], int], stopped: Callable[[], bool], until_done: bool
) -> None:
    """Adjust the number of workers to what is left until this is stopped; with `until_done`, until nothing is left.

    While the ledger does not answer, the workers that there are stay.

    Raises:
        ActiveLabelError: all workers have ended with an error.
        ImagesLeftError: with `until_done`, all that is left are images that the last worker could not get.
    """
    said = ""
    try:
        while not stopped():
            try:
                count = left()
            except (UnavailableError, NotReadyError) as error:
                logger.warning("%s; the number of workers stays", error)
            else:
                if until_done and not count:
                    break
                workers.scale(count, fleet.per_worker)
                if until_done and workers.given_up is not None and not len(workers):
                    raise workers.given_up
                said = _say(count, workers, said)
            end = time.monotonic() + fleet.look_seconds
            while time.monotonic() < end and not stopped():
                time.sleep(0.1)
    finally:
        workers.stop()


def _say(left: int, workers: RayWorkers, before: str) -> str:
    """Log the workers if there are others than before; return what was said."""
    waiting = workers.waiting()
    line = f"{len(workers)} workers" + (f", of which {waiting} have no process yet" if waiting else "")
    if line != before:
        logger.info("%d left: %s", left, line)
    return line


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

    def place(self) -> tuple[str, int]:
        """The name of the machine, and the id of this process."""
        return socket.gethostname(), os.getpid()
