"""A delayed call combines requests, and takes a bounded share of the time."""

import errno
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from activelabel.server.datastores import delayed_call
from activelabel.server.datastores.delayed_call import DelayedCall, with_pauses


class Timer:
    """A timer that only notes its delay."""

    delays: list[float]

    def __init__(self, seconds: float, _: object) -> None:
        type(self).delays.append(seconds)
        self.daemon = False

    def start(self) -> None:
        """Do nothing."""

    def cancel(self) -> None:
        """Do nothing."""


def test_the_delay_grows_with_the_processor_time_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    Timer.delays, worked = [], list[float]()
    monkeypatch.setattr(delayed_call, "threading", SimpleNamespace(Timer=Timer, Lock=threading.Lock))
    monkeypatch.setattr(delayed_call, "time", SimpleNamespace(thread_time=lambda: sum(worked)))
    call = DelayedCall(lambda: worked.append(0.05), 1.0, share=100.0)
    call.request()
    call.request()
    call.flush()
    call.flush()  # nothing was requested since
    call.request()
    assert Timer.delays == [1.0, pytest.approx(5.0)]  # a hundred times 0.05 s
    assert len(worked) == 1


def test_what_found_a_full_disk_is_done_later_and_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(delayed_call, "AGAIN_SECONDS", 0.01)
    full, done = [True, True], threading.Event()

    def work() -> None:
        if full:
            full.pop()
            raise OSError(errno.ENOSPC, "No space left on device", "listing.json")
        done.set()

    DelayedCall(work, 0.0).request()
    assert done.wait(60)
    lines = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert lines == ["[Errno 28] No space left on device: 'listing.json'; this is tried again every 0 s"]


def test_a_full_disk_is_told_of_again_once_it_has_worked(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(delayed_call, "AGAIN_SECONDS", 0.01)
    fails, ran = [True, False, True, False], list[bool]()

    def work() -> None:
        ran.append(fails[len(ran)])
        if ran[-1]:
            raise OSError(errno.ENOSPC, "No space left on device")

    call = DelayedCall(work, 0.0)
    for wanted in (2, 4):
        call.request()
        until(lambda wanted=wanted: len(ran) == wanted and not call.is_failing)
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 2


def test_a_request_does_not_wait_for_the_next_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delayed_call, "AGAIN_SECONDS", 1e6)
    errors, done = [OSError(errno.ENOSPC, "No space left on device")], threading.Event()

    def work() -> None:
        if errors:
            raise errors.pop()
        done.set()

    call = DelayedCall(work, 0.0)
    call.request()
    until(lambda: call._tries_again)
    assert call.failed_lately
    call.request()
    assert done.wait(60)
    until(lambda: not call.failed_lately)


def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end, "nothing came of it"
        time.sleep(0.005)


def test_what_failed_for_somebody_who_waits_is_still_to_be_done() -> None:
    errors, done = [OSError(errno.ENOSPC, "No space left on device")], list[str]()

    def work() -> None:
        if errors:
            raise errors.pop()
        done.append("written")

    call = DelayedCall(work, 60.0)
    call.note()
    with pytest.raises(OSError, match="No space left"):
        call.flush()
    call.flush()
    call.flush()
    assert done == ["written"]


def test_pauses_are_as_long_as_what_was_computed_before_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """750 parts of 2 ms each make three pauses of half a second; the last one is no longer wanted."""
    now, slept = [0.0], list[float]()
    monkeypatch.setattr(delayed_call, "time", SimpleNamespace(thread_time=lambda: now[0], sleep=slept.append))
    wanted = iter([True, True, False])
    taken = []
    for part in with_pauses(range(750), lambda: next(wanted)):
        now[0] += 0.002
        taken.append(part)
    assert taken == [*range(750)]
    assert slept == [pytest.approx(0.5), pytest.approx(0.5)]


def test_what_is_closed_runs_only_when_it_is_told_to() -> None:
    runs = list[int]()
    call = DelayedCall(lambda: runs.append(1), 0.05)
    call.request()
    call.close()
    call.request()
    time.sleep(0.3)
    assert runs == []
    call.flush()
    call.flush()
    assert runs == [1]


def test_closing_waits_for_a_run_and_a_failed_one_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delayed_call, "AGAIN_SECONDS", 0.05)
    began, may_fail, runs = threading.Event(), threading.Event(), list[int]()

    def work() -> None:
        runs.append(1)
        began.set()
        assert may_fail.wait(120)
        raise OSError(errno.ENOSPC, "No space left on device")

    call = DelayedCall(work, 0.0)
    call.request()
    assert began.wait(120)
    closing = threading.Thread(target=call.close)
    closing.start()
    closing.join(0.1)
    assert closing.is_alive()
    may_fail.set()
    closing.join(120)
    assert not closing.is_alive()
    time.sleep(0.3)
    assert runs == [1]
