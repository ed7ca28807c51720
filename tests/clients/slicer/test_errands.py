"""What is done beside a window, and what of it on the window's thread."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from slicer_desk import Desk, Paper

from ActiveLabelLib.errors import CancelledError
from ActiveLabelLib.server.breaking import breaker_here
from ActiveLabelLib.session.errands import Errands, on_window
from ActiveLabelLib.session.session import Session

PATIENCE_SECONDS = 60


def run(errands: Errands, errand: Callable[[], object]) -> list[BaseException | None]:
    """Do an errand to its end, and return what was told of it."""
    told: list[BaseException | None] = []
    errands.begin(errand, told.append)
    assert errands.wait(PATIENCE_SECONDS)
    return told


def test_an_errand_runs_beside_the_window_and_its_steps_on_it() -> None:
    errands, window = Errands(), threading.get_ident()
    where: list[int] = []

    def errand() -> None:
        where.append(threading.get_ident())
        where.append(errands.here(threading.get_ident))

    assert run(errands, errand) == [None]
    assert where[0] != window
    assert where[1] == window == errands.here(threading.get_ident)


def test_the_window_goes_on_while_an_errand_waits() -> None:
    errands, answer = Errands(), threading.Event()
    told: list[BaseException | None] = []
    errands.begin(lambda: answer.wait(PATIENCE_SECONDS), told.append)
    for _ in range(5):
        errands.poll()  # it comes back each time
    assert errands.busy
    assert told == []
    answer.set()
    assert errands.wait(PATIENCE_SECONDS)
    assert told == [None]


def test_errands_follow_one_another_and_what_goes_wrong_in_one_is_told_and_stops_none() -> None:
    errands, done = Errands(), []

    def fails() -> None:
        raise ValueError("first")

    errands.begin(fails, lambda error: done.append(str(error)))
    errands.begin(lambda: done.append("second runs"), lambda error: done.append(str(error)))
    assert errands.wait(PATIENCE_SECONDS)
    assert done == ["first", "second runs", "None"]


def test_what_goes_wrong_in_a_step_is_raised_where_it_was_asked_for() -> None:
    errands = Errands()

    def step() -> None:
        raise KeyError("the scene has no such node")

    def errand() -> None:
        with pytest.raises(KeyError, match="no such node"):
            errands.here(step)

    assert run(errands, errand) == [None]


def test_a_cancel_breaks_off_what_is_begun_and_neither_what_comes_after_it_nor_another_line_of_errands() -> None:
    errands, others = Errands(), Errands()
    told: dict[str, BaseException | None] = {}
    runs, cancelled = threading.Event(), threading.Event()

    def errand() -> None:
        runs.set()
        assert cancelled.wait(PATIENCE_SECONDS)
        breaker_here().check()  # as each request does

    for line, name in ((errands, "under way"), (errands, "waits"), (others, "of others")):
        line.begin(errand, lambda error, name=name: told.update({name: error}))  # type: ignore[misc]
    assert runs.wait(PATIENCE_SECONDS)
    errands.cancel()
    errands.begin(errand, lambda error: told.update({"after it": error}))
    cancelled.set()
    assert errands.wait(PATIENCE_SECONDS)
    assert others.wait(PATIENCE_SECONDS)
    assert [name for name, error in told.items() if isinstance(error, CancelledError)] == ["under way", "waits"]
    assert (told["after it"], told["of others"]) == (None, None)


class Watched(Paper):
    """A scene that notes on which threads it is used."""

    threads: set[int]

    def __getattribute__(self, name: str) -> Any:
        if name in ("open_image", "write_label", "stamp", "clear"):
            self.threads.add(threading.get_ident())
        return super().__getattribute__(name)


def test_a_session_touches_its_scene_on_the_windows_thread_alone(tmp_path: Path) -> None:
    errands, scene, desk = Errands(), Watched(), Desk(tmp_path / "server")
    scene.threads = set()
    session = Session(on_window(scene, errands), tmp_path / "unsent", tmp_path / "work", lambda *_: desk)
    asked: set[int] = set()
    hear = desk._hear

    def noting(*what: Any) -> None:
        asked.add(threading.get_ident())
        hear(*what)

    desk._hear = noting

    def whole_case() -> None:
        session.connect("desk", "ann")
        session.next_case()
        errands.here(lambda: setattr(scene, "drawing", "whole"))
        session.finish()

    assert run(errands, whole_case) == [None]
    assert desk.drawings() == [("label", "whole")]
    assert scene.threads == {threading.get_ident()}
    assert asked.isdisjoint(scene.threads)
