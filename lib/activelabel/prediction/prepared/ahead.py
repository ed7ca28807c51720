"""Images prepared by threads ahead of the network, which then does not wait for a disk or for resampling."""

import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Generic, TypeVar

import torch

Prepared = TypeVar("Prepared")

_MOST_THREADS = 8
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

    def __init__(self, prepare: Callable[[str], Prepared], threads: int) -> None:
        """`prepare` may be called in any thread; with 0 `threads` it is called when a name is asked for."""
        self._prepare = prepare
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
        """What the function gives for a name. Expected names before it are passed over."""
        while self._begun and self._begun[0][0] != name and self._is_expected(name):
            self._begun.popleft()[1].cancel()
            self._begin()
        if not self._begun or self._begun[0][0] != name:
            return self._prepare(name)
        future = self._begun.popleft()[1]
        self._begin()
        return future.result()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the threads; what nobody asked for is not begun."""
        self._drop()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

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
