"""Servers for the tests, all ended when a test ends, however it ends."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from running_server import RunningServer


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., RunningServer]]:
    """Make a server on a studies folder; `environment` adds to the test's own. It is not started yet."""
    made: list[RunningServer] = []

    def make(studies: Path, environment: dict[str, str] | None = None, **conf: object) -> RunningServer:
        log = tmp_path / f"server-{len(made)}.log"
        made.append(RunningServer(studies, conf, log, environment or {}))
        return made[-1]

    yield make
    for process in psutil.Process().children(recursive=True):
        process.kill()
