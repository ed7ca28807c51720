"""A process slowed down, so that a fast one too can be met in the middle of its work."""

import contextlib
import threading
from collections.abc import Iterator

import psutil

RUNS_SECONDS = 0.05
STOPS_SECONDS = 0.3


@contextlib.contextmanager
def slowed_down(process: psutil.Process) -> Iterator[None]:
    """While the block runs, stop the process for most of the time. It may end meanwhile."""
    ended = threading.Event()

    def slow_down() -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            while not ended.is_set():
                process.suspend()
                ended.wait(STOPS_SECONDS)
                process.resume()
                ended.wait(RUNS_SECONDS)

    thread = threading.Thread(target=slow_down, name="slowed down")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
