"""Fixtures that all tests share: the folder of real images, and small studies to work on."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np
import pytest
from as_found import left_as_found
from filelock import FileLock
from hypothesis import HealthCheck, settings
from late_imports import import_slicer_late
from unsynced import unsynced

from activelabel.lean_imports import absent, import_monai_lean
from activelabel.quick_imports import no_collections

if TYPE_CHECKING:
    from training_study import Study

    from local_pacs.orthanc import Orthanc

ROOT = Path(__file__).parents[1]

# Several tests run at once, each with a server and its children: with more threads they would wait for each other. The
# number is set here, before torch is imported, and all processes that the tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Each of several workers imports all files of tests: MONAI as the app's own processes do, and Slicer where it is used.
import_monai_lean()
import_slicer_late()

PHANTOMS = 12
"""As many cases of the sample data as a test needs: half of all, which take more than a minute of a processor."""

SLOWEST_FIRST = (
    "e2e/test_ohif.py",
    "e2e/test_two_stages.py::test_two_rounds_on_real_hippocampus",
    "e2e/test_slices.py::test_rounds_on_sample_data",
    "e2e/test_simulate.py::test_a_run_through_a_server_asks_the_same_queries_as_one_in_process",
    "e2e/test_two_stages.py",
    "e2e/test_login.py",
    "e2e/test_warm_start.py::test_from_an_empty_ledger_to_the_first_model",
    "e2e/test_rounds.py",
    "e2e/test_kill.py",
    "e2e/test_slices.py",
    "e2e/test_warm_start.py",
)
"""Tests with which a run begins, so that it does not end with one worker busy and the others idle."""

SLOWEST_LAST = (
    "store/test_case_events.py",
    "server/datastores/test_pacs.py",
    "sample_data/test_make_abdomen.py",
    "test_lean_imports.py",
    "server/actions/test_reviews.py",
    "work/test_launching.py",
    "simulation/test_runs.py",
    "test_core.py",
)
"""The files without servers that take longest: half of the workers begin at the end."""

APART = (
    "e2e/test_rounds.py", "e2e/test_simulate.py", "e2e/test_slices.py", "e2e/test_two_stages.py",
    "e2e/test_warm_start.py",
)  # fmt: skip
"""Files whose tests each have servers of their own, so that several workers may share a file."""

NEED_SLICER = (
    "clients/slicer/test_panel.py", "clients/slicer/test_scene.py", "data/files/test_channels_of_slicer.py",
    "data/test_slice_places.py", "server/test_slicer_module.py",
)  # fmt: skip
"""Files that import Slicer, which takes four seconds: one worker gets them all."""

# The time that an example takes depends more on the machine's other load than on the code.
# The same examples each time: what a search by chance finds is no fault of the change that is tested.
ANY_MACHINE = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow], database=None)
settings.register_profile("any machine", ANY_MACHINE, derandomize=True)
settings.register_profile("search", ANY_MACHINE)
settings.load_profile("any machine")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Import all files of tests without garbage collections, which take a third of the time.

    The host imports modules of MONAI that would import the absent packages.
    """
    with no_collections(), absent({"ignite", "mlflow"}):
        return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests with servers first and the others after them, so that what takes longest is at either end.

    The order within a file stays.
    """

    def place(item: pytest.Item) -> int:
        test = item.nodeid.removeprefix("tests/")
        first = [number - len(SLOWEST_FIRST) for number, name in enumerate(SLOWEST_FIRST) if test.startswith(name)]
        last = [number for number, name in enumerate(SLOWEST_LAST, start=2) if test.startswith(name)]
        return [*first, *last, 0 if test.startswith("e2e/") else 1][0]

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the tests of a file together (`--dist loadfile`), but for those that share nothing or share with others.

    Half of the workers begin with the first tests, which wait for servers, and half with the last ones, which compute:
    so the processors are busy all the time.
    """
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _assign_work_unit(self, node: Any) -> None:
            number = int(node.gateway.id.removeprefix("gw"))
            if number % 2:
                self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
            super()._assign_work_unit(node)

        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            name = file.removeprefix("tests/")
            return nodeid if name in APART else "Slicer" if name in NEED_SLICER else file

    return Scheduling(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_configure() -> None:
    """Make the folders that the host makes beside an app, as two servers that start at once would both try to."""
    for name in ("model", "lib", "logs", "bin"):
        (ROOT / "apps" / "activelabel" / name).mkdir(exist_ok=True)


@pytest.fixture(autouse=True, scope="module")
def file_as_found() -> Iterator[None]:
    """Undo what the fixtures of a file do to their process, as the next file there is another one in each run."""
    with left_as_found():
        yield


@pytest.fixture(autouse=True)
def as_found() -> Iterator[None]:
    """Undo what a test does to its process: its next test is another one if only some are run."""
    with left_as_found():
        yield


@pytest.fixture(autouse=True, scope="module")
def no_waits_for_the_disk(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let nothing that this process writes wait until it is on the disk, but in the tests of just that."""
    with nullcontext() if request.path.name == "test_database.py" else unsynced():
        yield


OWN_MIGRATIONS = ("test_migration.py", "test_schema.py", "test_database.py", "test_processes.py", "test_copies.py")
"""Files of tests in which each new ledger is made by the migrations themselves."""


@pytest.fixture(autouse=True)
def quick_ledgers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make new SQLite ledgers of this process in less time, if the test has imported what makes them."""
    if request.path.name in OWN_MIGRATIONS or "activelabel.store.database" not in sys.modules:
        return
    from quick_ledgers import quick_migrate

    monkeypatch.setattr("activelabel.store.database.migrate", quick_migrate)


@dataclass(frozen=True)
class Cases:
    """A studies folder, and the labels that an annotator would draw, elsewhere."""

    studies: Path
    labels: Path

    def label_of(self, image_id: str) -> Path:
        """Return the path of an image's true label."""
        return self.labels / f"{image_id}.nii.gz"


@pytest.fixture(scope="session")
def real_images() -> Path:
    """The folder of real images; without it the test is skipped."""
    folder = Path(os.environ.get("ACTIVELABEL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real images: {folder} is not there, and ACTIVELABEL_DATA names no other folder")
    return folder


@pytest.fixture
def hippocampus(real_images: Path, tmp_path: Path) -> Callable[[int], Cases]:
    """Copy the first hippocampus volumes, so that no test writes into the original folder."""

    def copy(count: int) -> Cases:
        studies = tmp_path / "hippocampus"
        studies.mkdir()
        images = sorted((real_images / "hippocampus" / "images").glob("*.nii.gz"))[:count]
        for image in images:
            shutil.copy(image, studies)
        return Cases(studies, real_images / "hippocampus" / "labels")

    return copy


@pytest.fixture
def blobs(tmp_path: Path) -> Callable[[int], Cases]:
    """Tiny volumes with a bright ball on noise, and the ball as their label `ball`: enough for every step."""

    def make(count: int) -> Cases:
        studies, labels = tmp_path / "blobs", tmp_path / "blob-labels"
        studies.mkdir()
        labels.mkdir()
        affine = np.diag([-1.5, -1.5, 2.0, 1.0])  # as most CT is stored: x and y run against RAS
        for index in range(count):
            random = np.random.default_rng(index)
            image, label = _ball(random)
            nibabel.save(nibabel.Nifti1Image(image, affine), studies / f"blob_{index:02d}.nii.gz")
            nibabel.save(nibabel.Nifti1Image(label, affine), labels / f"blob_{index:02d}.nii.gz")
        return Cases(studies, labels)

    return make


def _ball(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    grid = np.stack(np.meshgrid(*(np.arange(size) for size in (24, 20, 16)), indexing="ij"))
    centre = random.uniform(7, 11, size=3)[:, None, None, None]
    label = (((grid - centre) ** 2).sum(axis=0) < random.uniform(3, 6) ** 2).astype(np.uint8)
    image = 100.0 * label + random.normal(50, 20, label.shape)
    return image.astype(np.float32), label


@pytest.fixture
def phantoms(tmp_path: Path) -> Cases:
    """Copies of volumes of the sample data, which are made once for all runs."""
    folder = ROOT / ".pytest_cache" / "phantoms"  # another folder than that of `make run`, which has more volumes
    folder.mkdir(parents=True, exist_ok=True)
    script = ROOT / "sample-data" / "make_abdomen.py"
    with FileLock(folder / ".making.lock"):  # other workers use it too
        command = [sys.executable, script, "--cases", str(PHANTOMS), "--out", folder]
        subprocess.run(command, check=True, capture_output=True)
    studies = tmp_path / "abdomen"
    shutil.copytree(folder / "abdomen", studies)
    return Cases(studies, folder / "abdomen-labels")


@pytest.fixture
def make_study(tmp_path: Path) -> "Callable[..., Study]":
    # Imported here, as tests of other fixtures need neither torch nor the host.
    from training_study import TINY, Study

    from activelabel.project.opening import open_project

    def make(cases: Any, **conf: str) -> Study:
        # One precision on every processor: two studies would otherwise measure which is faster each by itself.
        settings = {"recipe": str(TINY), "labels": "ball", "device": "cpu", "precision": "float32"}
        settings["project_dir"] = str(tmp_path / "project")
        project = open_project("app", str(cases.studies), {**settings, **conf})
        ids = [path.name.removesuffix(".nii.gz") for path in cases.studies.glob("*.nii.gz")]
        project.ledger.sync_images(ids, project.recipe.training.validation_cases)
        return Study(project, cases.studies, cases.labels)

    return make


@pytest.fixture
def study(blobs: Callable[[int], Any], make_study: "Callable[..., Study]") -> "Study":
    """Eight blobs, of which two are for validation; nothing is annotated."""
    return make_study(blobs(8))


@pytest.fixture
def annotated(study: "Study") -> "Study":
    """The study with labels for three training cases and both validation cases."""
    study.annotate(*study.ids("training")[:3], *study.ids("validation"))
    return study


@pytest.fixture(scope="session")
def running_orthanc(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Orthanc]":
    from ports import free_port

    from local_pacs.orthanc import Orthanc

    server = Orthanc(tmp_path_factory.mktemp("orthanc"), free_port()).start()
    yield server
    server.stop()


@pytest.fixture
def orthanc(running_orthanc: "Orthanc") -> "Iterator[Orthanc]":
    """A PACS that tests may stop; it takes seconds to end."""
    yield running_orthanc
    running_orthanc.start()
    running_orthanc.clear()
