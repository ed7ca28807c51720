"""Images prepared by threads ahead of the network, which then does not wait for a disk or for resampling."""

import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Generic, TypeVar

import torch

from activelabel.errors import UnavailableError

Prepared = TypeVar("Prepared")

_MOST_THREADS = 8
PATIENCE_SECONDS = 900.0
"""How long the network waits for an image: the largest CT takes seconds, and a folder that hangs for ever."""
_EACH_AHEAD = 1
"""The images that wait for the network, of each thread: an image may have a gigabyte."""


def preparing_threads(device: torch.device) -> int:
    """How many threads prepare ahead of a network on `device`.

    On a single core nothing is gained, and each change between threads costs. A network on the processor uses all its
    cores already, so one thread fills what it leaves; a GPU leaves the cores to preparation.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if cores == 1:
        return 0
    return min(cores - 1, _MOST_THREADS) if device.type == "cuda" else 1


class Ahead(AbstractContextManager["Ahead[Prepared]"], Generic[Prepared]):
    """Calls a function for names that are expected, in threads, a few names before each is asked for.

    The function runs at most once for each time that a name is asked for. What it raises, `take` raises.
    """

    def __init__(
        self, prepare: Callable[[str], Prepared], threads: int, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        """`prepare` may be called in any thread; with 0 `threads` it is called when a name is asked for."""
        self._prepare = prepare
        self._patience_seconds = patience_seconds
        self._hangs = False
        self._most = threads * (1 + _EACH_AHEAD)
        self._pool = ThreadPoolExecutor(threads, "prepare") if threads else None
        self._expected: deque[str] = deque()
        self._begun: deque[tuple[str, Future[Prepared]]] = deque()

    def expect(self, names: Iterable[str]) -> None:
        """Say which names will be asked for next, in this order; names that were expected before are not any more."""
        self._drop()
        self._expected = deque(names)
        self._begin()

    def expect_also(self, names: Iterable[str]) -> None:
        """Say which names will be asked for after those that are expected already."""
        self._expected.extend(names)
        self._begin()

    @property
    def most(self) -> int:
        """How many names it is good to expect: more are not begun."""
        return self._most

    def take(self, name: str) -> Prepared:
        """What the function gives for a name. Expected names before it are passed over.

        Raises:
            UnavailableError: a thread has not come back for `patience_seconds`: what it reads from does not answer.
        """
        while self._begun and self._begun[0][0] != name and self._is_expected(name):
            self._begun.popleft()[1].cancel()
            self._begin()
        if not self._begun or self._begun[0][0] != name:
            return self._prepare(name)
        future = self._begun.popleft()[1]
        self._begin()
        try:
            return future.result(self._patience_seconds)
        except FutureTimeoutError as error:
            if future.done():  # it is the function's own
                raise
            self._hangs = True
            raise UnavailableError(
                f"{name}: it is not read after {self._patience_seconds:.0f} s: does the folder of the images answer?"
            ) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the threads; what nobody asked for is not begun. A thread that hangs is left alone."""
        self._drop()
        if self._pool is not None:
            self._pool.shutdown(wait=not self._hangs, cancel_futures=True)

    def _is_expected(self, name: str) -> bool:
        return name in self._expected or any(name == begun for begun, _ in self._begun)

    def _begin(self) -> None:
        while self._pool is not None and self._expected and len(self._begun) < self._most:
            name = self._expected.popleft()
            self._begun.append((name, self._pool.submit(self._prepare, name)))

    def _drop(self) -> None:
        self._expected.clear()
        while self._begun:
            self._begun.popleft()[1].cancel()
