"""Servers for the tests. All are ended when a test ends, whatever its outcome.

Other processes go on: tests of the same worker share a PACS and a database.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ohif_page import OhifPage
from playwright.sync_api import sync_playwright
from postgresql_fixtures import administrator as administrator
from postgresql_fixtures import new_postgresql as new_postgresql
from postgresql_fixtures import postgresql_server as postgresql_server
from running_server import RunningServer

from activelabel.project.listing import CHANGES, LISTING
from ActiveLabelLib.server.connection import ANSWER_SECONDS, Connection


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., RunningServer]]:
    """Make a server on a studies folder without starting it; `environment` adds to the test's own."""
    made: list[RunningServer] = []

    def make(studies: Path | str, environment: dict[str, str] | None = None, **conf: object) -> RunningServer:
        log = tmp_path / f"server-{len(made)}.log"
        made.append(RunningServer(studies, conf, log, environment or {}))
        return made[-1]

    yield make
    for server in made:
        server.end()


@pytest.fixture(scope="module")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., RunningServer]]:
    """Start a server for all tests of a module. It must end with exit code 0 and leave no process or unfinished file.

    Its home and its folder for temporary files lie beside the studies, where a test sees every written file.
    """
    started: list[RunningServer] = []

    def start(studies: Path, by_own_command: bool = False, **conf: object) -> RunningServer:
        places = {"HOME": studies.parent / "home", "TMPDIR": studies.parent / "tmp"}
        for place in places.values():
            place.mkdir()
        log = tmp_path_factory.mktemp("log") / "server.log"
        server = RunningServer(studies, conf, log, {name: str(place) for name, place in places.items()})
        server.by_own_command = by_own_command
        started.append(server)
        return server.start()

    yield start
    try:
        for server in started:
            assert server.stop() == 0
            studies = Path(server.studies)
            assert list(studies.rglob("*.part")) == []
            assert (studies / LISTING).is_file()
            assert not (studies / CHANGES).exists(), "its listing says what was changed last"
    finally:
        for server in started:
            server.end()


@pytest.fixture
def patient_slicer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let our Slicer module wait longer for a busy server than somebody before its window, who has ten seconds."""
    for request in vars(Connection).values():
        defaults = getattr(request, "__defaults__", None) or ()
        if ANSWER_SECONDS in defaults:
            longer = tuple(120.0 if value == ANSWER_SECONDS else value for value in defaults)
            monkeypatch.setattr(request, "__defaults__", longer)


@pytest.fixture
def make_ohif() -> Iterator[Callable[..., OhifPage]]:
    """Open a page of OHIF in Chromium; with a `profile`, it knows what the one before with that folder has kept."""
    opened: list[OhifPage] = []
    with sync_playwright() as playwright:

        def make(address: str, profile: Path | None = None) -> OhifPage:
            opened.append(OhifPage(playwright, address, profile))
            return opened[-1]

        yield make
        for page in opened:
            page.close()
