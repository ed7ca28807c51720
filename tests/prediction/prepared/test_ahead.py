"""Preparation ahead: each name once, in order, in other threads, and no more at once than is allowed."""

import subprocess
import sys
import threading
import time

import pytest

from activelabel.errors import UnavailableError
from activelabel.prediction.prepared.ahead import Ahead


class Prepare:
    """Counts its calls and how many of its results wait to be taken."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.threads: set[str] = set()

    def __call__(self, name: str) -> str:
        self.called.append(name)
        self.threads.add(threading.current_thread().name)
        if name == "bad":
            raise ValueError("cannot be read")
        return name.upper()


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_each_expected_name_is_prepared_once_and_given_in_order(threads: int) -> None:
    prepare, names = Prepare(), [f"image {number}" for number in range(20)]
    with Ahead(prepare, threads) as ahead:
        ahead.expect(names)
        assert [ahead.take(name) for name in names] == [name.upper() for name in names]
    assert sorted(prepare.called) == sorted(names)
    assert all(name.startswith("prepare") for name in prepare.threads)
    assert len(prepare.threads) <= max(threads, 1)


def test_no_more_wait_than_two_of_each_thread() -> None:
    prepare = Prepare()
    with Ahead(prepare, 1) as ahead:
        ahead.expect("abcdefg")
        until(lambda: len(prepare.called) == 2)
        time.sleep(0.05)
        assert prepare.called == ["a", "b"]
        ahead.take("a")
        until(lambda: len(prepare.called) == 3)


def test_more_may_wait_once_they_are_known_to_be_small() -> None:
    prepare = Prepare()
    with Ahead(prepare, 1) as ahead:
        ahead.expect("abcdefg")
        ahead.allow(5)
        until(lambda: len(prepare.called) == 5)
        ahead.allow(3)  # never fewer again
        ahead.take("a")
        until(lambda: len(prepare.called) == 6)
    with Ahead(prepare, 0) as ahead:
        ahead.allow(5)
        ahead.expect("abcdefg")
        assert ahead.most == 0


@pytest.mark.parametrize("threads", [0, 2])
def test_names_that_are_passed_over_or_not_expected_are_prepared_when_asked_for(threads: int) -> None:
    prepare = Prepare()
    with Ahead(prepare, threads) as ahead:
        ahead.expect("abcdef")
        assert [ahead.take(name) for name in ("a", "d", "x", "e")] == ["A", "D", "X", "E"]
        ahead.expect("ab")
        assert ahead.take("b") == "B"
    for name in "dxe":
        assert prepare.called.count(name) == 1


@pytest.mark.parametrize("threads", [0, 1])
def test_what_a_preparation_raises_is_raised_where_the_name_is_asked_for(threads: int) -> None:
    with Ahead(Prepare(), threads) as ahead:
        ahead.expect(["a", "bad", "c"])
        assert ahead.take("a") == "A"
        with pytest.raises(ValueError, match="cannot be read"):
            ahead.take("bad")
        assert ahead.take("c") == "C"


def test_nothing_more_is_begun_when_it_ends() -> None:
    prepare = Prepare()
    with Ahead(prepare, 1) as ahead:
        ahead.expect("abcdefg")
        ahead.take("a")
    called = len(prepare.called)
    assert called < 5
    time.sleep(0.02)
    assert len(prepare.called) == called


def until(holds: "object") -> None:
    deadline = time.monotonic() + 60
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize("threads", [0, 1])
def test_a_name_whose_reading_hangs_is_given_up_and_its_thread_left_alone(threads: int) -> None:
    answers = threading.Event()
    began = time.monotonic()
    with Ahead(lambda name: answers.wait(120), threads, patience_seconds=0.2) as ahead:
        ahead.expect("ab")
        with pytest.raises(UnavailableError, match="a: it is not read after 0 s: does the folder of the images answer"):
            ahead.take("a")
    assert time.monotonic() - began < 60
    answers.set()


def test_the_end_waits_for_what_hangs_only_so_long_and_not_when_the_process_is_to_end() -> None:
    answers = threading.Event()

    def end(error: BaseException | None, patience: float) -> float:
        """Leave while a reading hangs; how long that takes."""
        ahead = Ahead(lambda name: answers.wait(120), 1, patience_seconds=patience)
        ahead.expect("a")
        began = time.monotonic()
        ahead.__exit__(type(error) if error else None, error, None)
        return time.monotonic() - began

    assert 0.2 <= end(None, 0.2) < 60
    assert end(KeyboardInterrupt(), 100) < 60
    answers.set()


def test_a_process_ends_although_a_reading_hangs() -> None:
    program = """
import time
from activelabel.errors import UnavailableError
from activelabel.prediction.prepared.ahead import Ahead
try:
    with Ahead(lambda name: time.sleep(600), 1, patience_seconds=0.2) as ahead:
        ahead.expect("ab")
        ahead.take("a")
except UnavailableError as error:
    print(error)
"""
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=True)
    assert ended.stdout.startswith("a: it is not read")


def test_a_time_out_of_the_reading_itself_is_passed_on() -> None:
    def fail(name: str) -> str:
        raise TimeoutError("the disk")

    with Ahead(fail, 1) as ahead:
        ahead.expect("a")
        with pytest.raises(TimeoutError, match="the disk"):
            ahead.take("a")


@pytest.mark.parametrize("threads", [0, 1])
def test_a_process_that_is_to_end_waits_for_a_reading_that_hangs_only_a_while(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activelabel.prediction.prepared.ahead.ENDING_SECONDS", 0.2)
    answers, told = threading.Event(), threading.Event()
    threading.Timer(0.5, told.set).start()
    with Ahead(lambda name: answers.wait(120), threads, told_to_end=told.is_set) as ahead:
        ahead.expect("ab")
        with pytest.raises(UnavailableError, match="a: it is not read after 0 s, and this process is to end: does"):
            ahead.take("a")
        assert told.is_set()
    answers.set()


def test_a_process_that_is_to_end_waits_for_what_does_not_hang() -> None:
    answers = threading.Event()
    threading.Timer(0.2, answers.set).start()
    with Ahead(lambda name: answers.wait(120), 1, told_to_end=lambda: True) as ahead:
        assert ahead.take("a") is True


def test_the_end_of_a_process_does_not_wait_for_what_hangs_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activelabel.prediction.prepared.ahead.ENDING_SECONDS", 0.1)
    answers = threading.Event()
    began = time.monotonic()
    with Ahead(lambda name: answers.wait(120), 1, told_to_end=lambda: True) as ahead:
        ahead.expect("a")
    assert time.monotonic() - began < 60
    answers.set()
