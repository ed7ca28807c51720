"""How a worker is asked to stop."""

import os
import signal
import sys
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from activelabel.cli.main import app
from activelabel.cli.work import StopRequest
from activelabel.work.tries import ImagesLeftError

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


def test_the_exit_code_tells_that_images_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def leave_one(*_: object) -> int:
        raise ImagesLeftError("2 done, 1 left that this worker could not get (a): 500")

    monkeypatch.setattr("activelabel.cli.work.work_until_stopped", leave_one)
    ended = CliRunner().invoke(app, ["work", "--database-url", "sqlite:///nowhere.sqlite", "--until-done"])
    assert ended.exit_code == 3
    assert "1 left that this worker could not get" in ended.output
