"""Images prepared by threads ahead of the network, which then does not wait for a disk or for resampling."""

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Generic, TypeVar

import torch

from activelabel.errors import UnavailableError

Prepared = TypeVar("Prepared")

_MOST_THREADS = 8
PATIENCE_SECONDS = 900.0
"""How long the network waits for an image: the largest CT takes seconds, and a folder that hangs for ever."""
ENDING_SECONDS = 20.0
"""How long it waits once the process was told to end: most readings that do not hang are done by then."""
_LOOK_SECONDS = 0.5
"""How often a wait looks whether the process was told to end."""
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


class _Threads:
    """Threads for calls, in order. Unlike those of `concurrent.futures` they do not keep a process from ending."""

    def __init__(self, most: int) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._most = most
        self._begun: list[threading.Thread] = []

    def call(self, function: Callable[[str], Prepared], name: str) -> Future[Prepared]:
        """Begin a call when a thread is free, unless it is cancelled before."""
        future: Future[Prepared] = Future()

        def run() -> None:
            """Call, and keep what comes of it."""
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(function(name))
            except BaseException as error:  # noqa: BLE001  # raised where the name is asked for
                future.set_exception(error)

        self._calls.put(run)
        if len(self._begun) < self._most:
            thread = threading.Thread(target=self._work, name=f"prepare_{len(self._begun)}", daemon=True)
            thread.start()
            self._begun.append(thread)
        return future

    def let_end(self) -> None:
        """Let each thread end after its call."""
        for _ in self._begun:
            self._calls.put(None)

    def have_ended(self, seconds: float) -> bool:
        """Whether all threads have ended; this waits for it for some seconds."""
        until = time.monotonic() + seconds
        for thread in self._begun:
            thread.join(max(until - time.monotonic(), 0))
        return not any(thread.is_alive() for thread in self._begun)

    def _work(self) -> None:
        while (run := self._calls.get()) is not None:
            run()
            del run  # with what came of it, while this thread waits


class Ahead(AbstractContextManager["Ahead[Prepared]"], Generic[Prepared]):
    """Calls a function for names that are expected, in threads, a few names before each is asked for.

    The function runs at most once for each time that a name is asked for. What it raises, `take` raises.
    """

    def __init__(
        self,
        prepare: Callable[[str], Prepared],
        threads: int,
        patience_seconds: float = PATIENCE_SECONDS,
        told_to_end: Callable[[], bool] = lambda: False,
    ) -> None:
        """Call `prepare` in threads.

        Args:
            prepare: the function; it may be called in any thread.
            threads: how many threads; with 0 it is called in one when a name is asked for.
            patience_seconds: how long a call is waited for.
            told_to_end: whether this process is to end; then a call is waited for `ENDING_SECONDS` only.
        """
        self._prepare = prepare
        self._patience_seconds = patience_seconds
        self._told_to_end = told_to_end
        self._hangs = False
        self._most = threads * (1 + _EACH_AHEAD)
        self._threads = _Threads(max(threads, 1))
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

    def allow(self, most: int) -> None:
        """Let more names be begun before they are asked for, as what comes of them is small. It never lets fewer."""
        self._most = max(self._most, most if self._most else 0)
        self._begin()

    def take(self, name: str) -> Prepared:
        """What the function gives for a name. Expected names before it are passed over.

        Raises:
            UnavailableError: a thread has not come back for `patience_seconds`: what it reads from does not answer.
                Or the process was told to end, and the thread has not come back for `ENDING_SECONDS` since.
        """
        while self._begun and self._begun[0][0] != name and self._is_expected(name):
            self._begun.popleft()[1].cancel()
            self._begin()
        if not self._begun or self._begun[0][0] != name:
            future = self._threads.call(self._prepare, name)
        else:
            future = self._begun.popleft()[1]
        self._begin()
        waited = self._wait(lambda seconds: bool(wait([future], seconds).done))
        if waited is not None:
            self._hangs = True
            raise UnavailableError(f"{name}: it is not read after {waited}: does the folder of the images answer?")
        return future.result()

    def _wait(self, ended: Callable[[float], bool]) -> str | None:
        """Wait until `ended`, which waits for some seconds, is true; after how long this was given up, if it was."""
        until = time.monotonic() + self._patience_seconds
        reason = f"{self._patience_seconds:.0f} s"
        ending = False
        while not ended(max(min(until - time.monotonic(), _LOOK_SECONDS), 0)):
            if not ending and self._told_to_end():
                ending = True
                if time.monotonic() + ENDING_SECONDS < until:
                    until = time.monotonic() + ENDING_SECONDS
                    reason = f"{ENDING_SECONDS:.0f} s, and this process is to end"
            if time.monotonic() >= until:
                return reason
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the threads; what nobody asked for is not begun. A thread that hangs is left alone.

        None is waited for when the process is to end at once.
        """
        self._drop()
        self._threads.let_end()
        if not (self._hangs or (kind is not None and not issubclass(kind, Exception))):
            self._wait(self._threads.have_ended)

    def _is_expected(self, name: str) -> bool:
        return name in self._expected or any(name == begun for begun, _ in self._begun)

    def _begin(self) -> None:
        while self._expected and len(self._begun) < self._most:
            name = self._expected.popleft()
            self._begun.append((name, self._threads.call(self._prepare, name)))

    def _drop(self) -> None:
        self._expected.clear()
        while self._begun:
            self._begun.popleft()[1].cancel()
