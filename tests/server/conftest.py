"""What tests of the server share: a PACS that is empty when a test begins, and a project over tiny volumes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ports import free_port
from training_study import TINY, Study

from activelabel.project.project import open_project
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


@pytest.fixture
def make_study(tmp_path: Path) -> Callable[..., Study]:
    def make(cases: Any, **conf: str) -> Study:
        settings = {"recipe": str(TINY), "labels": "ball", "device": "cpu", "project_dir": str(tmp_path / "project")}
        project = open_project("app", str(cases.studies), {**settings, **conf})
        ids = [path.name.removesuffix(".nii.gz") for path in cases.studies.glob("*.nii.gz")]
        project.ledger.sync_images(ids, project.recipe.training.validation_cases)
        return Study(project, cases.studies, cases.labels)

    return make


@pytest.fixture
def study(blobs: Callable[[int], Any], make_study: Callable[..., Study]) -> Study:
    """Eight blobs, of which two are for validation; nothing is annotated."""
    return make_study(blobs(8))


@pytest.fixture
def annotated(study: Study) -> Study:
    """The same with labels for three training cases and both validation cases."""
    study.annotate(*study.ids("training")[:3], *study.ids("validation"))
    return study
