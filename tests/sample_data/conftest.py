import os
import shutil
import sys
from pathlib import Path

import pytest
from filelock import FileLock

SAMPLE_DATA = Path(__file__).parents[2] / "sample-data"
sys.path.insert(0, str(SAMPLE_DATA))  # a folder of scripts, not a package that is installed


@pytest.fixture(scope="session")
def two_cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the script has made two cases, for all workers; copy it before changing it."""
    from make_abdomen import main

    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    parent = shared / "two-phantoms"
    with FileLock(shared / "two-phantoms.lock"):
        assert main(["--cases", "2", "--out", str(parent)]) == 0  # existing cases are not made again
    return parent


@pytest.fixture
def own_two_cases(two_cases: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(two_cases, tmp_path / "phantoms"))
