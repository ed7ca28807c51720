"""What tests of the server share: a PACS that is empty when a test begins."""

from collections.abc import Iterator

import pytest
from ports import free_port

from local_pacs.orthanc import Orthanc


@pytest.fixture(scope="session")
def running_orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    server = Orthanc(tmp_path_factory.mktemp("orthanc"), free_port()).start()
    yield server
    server.stop()


@pytest.fixture
def orthanc(running_orthanc: Orthanc) -> Iterator[Orthanc]:
    """Tests may stop it; it takes seconds to end."""
    yield running_orthanc
    running_orthanc.start()
    running_orthanc.clear()
