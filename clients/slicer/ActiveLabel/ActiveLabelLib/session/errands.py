"""What a person asks for runs beside the window, which goes on answering meanwhile.

A request may take minutes: a large image, a map that is computed first, a server that does not answer. So each errand
runs on a thread of its own, one after the other. Slicer's scene is for the window's thread alone, so an errand hands
each step that touches it over to that thread, and waits for it: a timer of the window calls `poll`.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, cast

from ActiveLabelLib.server.breaking import Breaker
from ActiveLabelLib.session.case import Scene

Outcome = Callable[["BaseException | None"], None]
STEP_SECONDS = 0.01
"""How long the window waits for the next step: nobody sees it."""


class Errands:
    """A line of errands, the first of which is under way."""

    def __init__(self) -> None:
        """Made on the window's thread."""
        self._window = threading.current_thread()
        self._begun: queue.SimpleQueue[tuple[Callable[[], object], Outcome, Breaker]] = queue.SimpleQueue()
        self._steps: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._left: list[Breaker] = []
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether an errand is under way, or waits."""
        return bool(self._left)

    def begin(self, errand: Callable[[], object], done: Outcome) -> None:
        """Do something beside the window; then call `done` on its thread, with the error if there was one."""
        breaker = Breaker()
        self._left.append(breaker)
        self._begun.put((errand, done, breaker))
        if self._thread is None:
            # A daemon: Slicer must be able to end while a server is silent.
            self._thread = threading.Thread(target=self._work, name="ActiveLabel", daemon=True)
            self._thread.start()

    def cancel(self) -> None:
        """Break off what is under way and what waits: none of it asks a server for anything any more."""
        for breaker in self._left:
            breaker.cancel()

    def here(self, step: Callable[[], Any]) -> Any:
        """Do a step on the window's thread, and return what it returns, or raise what it raises."""
        if threading.current_thread() is self._window:
            return step()
        answer: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

        def do() -> None:
            try:
                answer.put((step(), None))
            except BaseException as error:  # noqa: BLE001  # it is raised where the step was asked for
                answer.put((None, error))

        self._steps.put(do)
        result, error = answer.get()
        if error is not None:
            raise error
        return result

    def poll(self) -> None:
        """Do the steps that wait; to be called on the window's thread, many times a second.

        It waits a moment for them: a program that embeds Python may let other threads run only meanwhile.
        """
        while self.busy:
            try:
                self._steps.get(timeout=STEP_SECONDS)()
            except queue.Empty:
                return

    def wait(self, seconds: float) -> bool:
        """Do steps until no errand is left, for some seconds at most; whether none is left."""
        until = time.monotonic() + seconds
        while self.busy and time.monotonic() < until:
            self.poll()
        return not self.busy

    def _work(self) -> None:
        while True:
            errand, done, breaker = self._begun.get()
            failure: BaseException | None = None
            try:
                with breaker.of_this_thread():
                    errand()
            except BaseException as error:  # noqa: BLE001  # the window shows it, or raises it
                failure = error
            self._steps.put(lambda done=done, failure=failure: self._end(done, failure))  # type: ignore[misc]

    def _end(self, done: Outcome, failure: BaseException | None) -> None:
        del self._left[0]
        done(failure)


def on_window(scene: Scene, errands: Errands) -> Scene:
    """A scene whose every step is done on the window's thread, whoever asks for it."""
    return cast(Scene, _OnWindow(scene, errands))


class _OnWindow:
    """Hands each step of a scene over."""

    def __init__(self, scene: Scene, errands: Errands) -> None:
        self._scene = scene
        self._errands = errands

    def __getattr__(self, name: str) -> Any:
        """A step of the scene: see `case.Scene`."""
        return lambda *args, **more: self._errands.here(lambda: getattr(self._scene, name)(*args, **more))
