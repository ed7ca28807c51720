"""A delayed call combines requests, and takes a bounded share of the time."""

import threading
from types import SimpleNamespace

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
