"""Turns of heavy work that clients ask for: a few requests run, some wait, and more are told when to ask again."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import HTTPException
from monailabel.utils.async_tasks.utils import tasks

from activelabel.errors import TooManyError

AT_ONCE = 4
"""How many requests may run a model at once. Further ones wait without a worker thread; models run one at a time."""
MOST_WAITING = 32
"""How many requests may wait for a model, so that a crowd of them does not keep it from everybody for hours."""
MOST_QUEUED = 8
"""How many trainings, scorings or batch inferences may wait for the one that runs, of each kind."""
WAIT_SECONDS, TASK_SECONDS = 30, 60
"""After how many seconds a refused client should ask again: for a model, and for one of these tasks."""

TaskKind = Literal["train", "scoring", "batch_infer"]
"""The host's names of its tasks."""
_NAMES = {"train": "trainings", "scoring": "scorings", "batch_infer": "batch inferences"}
_SUBMITTED, _TOO_MANY = "SUBMITTED", 429

_held = defaultdict[str, threading.Lock](threading.Lock)

Answer = TypeVar("Answer")


class Turns:
    """The turns of requests that run a model."""

    def __init__(self, at_once: int, most_waiting: int) -> None:
        self._limiter = CapacityLimiter(at_once)
        self._at_once, self._most = at_once, at_once + most_waiting
        self._taken = 0  # counted here: the limiter counts one that waits only after others have asked

    async def run(self, run: Callable[[], Answer]) -> Answer:
        """Run something in a worker thread, when it is its turn.

        Raises:
            TooManyError: too many requests wait for their turn.
        """
        if self._taken >= self._most:
            waiting = self._taken - self._at_once
            raise TooManyError(f"{waiting} requests wait for the model already: ask again later", WAIT_SECONDS)
        self._taken += 1
        try:
            return await to_thread.run_sync(run, limiter=self._limiter)
        finally:
            self._taken -= 1


turns = Turns(AT_ONCE, MOST_WAITING)
"""The turns of everything that runs a model for a client."""


@contextmanager
def queued(kind: TaskKind, *, now: bool) -> Iterator[None]:
    """Around a request for a task of the host: one that is done `now`, before the answer, or one that is queued.

    Raises:
        TooManyError: another one is being done, or too many are queued.
        HTTPException: as the host's, with the time to wait.
    """
    if not now:
        waiting = sum(task["status"] == _SUBMITTED for task in tasks(kind))
        if waiting >= MOST_QUEUED:
            raise TooManyError(f"{waiting} {_NAMES[kind]} wait already: ask again when one is over", TASK_SECONDS)
    elif not _held[kind].acquire(blocking=False):
        raise TooManyError(f"one of the {_NAMES[kind]} is done for another request: ask again later", TASK_SECONDS)
    try:
        yield
    except HTTPException as error:
        if error.status_code != _TOO_MANY:
            raise
        raise HTTPException(_TOO_MANY, error.detail, {"Retry-After": str(TASK_SECONDS)}) from error
    finally:
        if now:
            _held[kind].release()
