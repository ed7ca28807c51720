"""A delayed call combines requests, and takes a bounded share of the time."""

import errno
import threading
import time

import pytest

from activelabel.server.datastores import delayed_call
from activelabel.server.datastores.delayed_call import DelayedCall


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
    Timer.delays = []
    monkeypatch.setattr(delayed_call.threading, "Timer", Timer)

    def work() -> None:
        end = time.thread_time() + 0.05
        while time.thread_time() < end:
            pass

    call = DelayedCall(work, 1.0, share=100.0)
    call.request()
    call.request()
    call.flush()
    call.flush()  # nothing was requested since
    call.request()
    assert Timer.delays[0] == 1.0
    assert len(Timer.delays) == 2
    assert 5.0 <= Timer.delays[1] < 10.0  # a hundred times 0.05 s


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
    assert lines == ["[Errno 28] No space left on device: 'listing.json'; this is tried again in 0 s"] * 2


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
