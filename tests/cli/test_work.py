"""How a worker is asked to stop."""

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from activelabel.cli.work import StopRequest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


@pytest.fixture(autouse=True)
def kept_handlers() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def test_the_first_signal_asks_and_the_second_ends_at_once() -> None:
    stopped = StopRequest()
    assert not stopped()
    os.kill(os.getpid(), signal.SIGTERM)
    assert stopped()
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_a_warning_of_the_end_asks_however_often_it_comes(capfd: pytest.CaptureFixture[str]) -> None:
    stopped = StopRequest()
    os.kill(os.getpid(), signal.SIGUSR2)
    os.kill(os.getpid(), signal.SIGUSR2)
    assert stopped()
    assert capfd.readouterr().err == "stopping after what is in hand\n"
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)
