"""Next sample, save label and keep a score in a large study: the host's datastore and strategy, and ours.

    python -m benchmarks.ledger.beside_host [--images 10000] [--repeats 20] [--shape 64x64x32]

Both arms are called as the host's server calls them: its endpoint for the next sample asks the strategy, reads the
image's info, and notes the annotator. All images have a score, and both arms watch the studies folder, as a server
does. They take turns, so that a busy moment hits both.

The host's strategy is its own `Epistemic`, with k=16: with its default k=0 it raises ValueError for more than some
4,300 unserved images, because it writes 10 to the power of their number into its log.

The arms keep different things. The host keeps the last label, and does not wait for the disk. Ours checks the label,
keeps every version, leases each case to one annotator, and writes everything to the disk before it answers.
"""

import argparse
import os
import platform
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Protocol, TypeVar

import nibabel
import numpy as np
from monailabel.datastore.local import LocalDatastore
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.tasks.activelearning.epistemic import Epistemic

from activelabel.acquisition.score import Score
from activelabel.annotation.archive import open_archive
from activelabel.names import ScoreKind
from activelabel.project.opening import open_project
from activelabel.project.readability import read_case
from activelabel.server.datastores.folder import LedgerDatastore
from activelabel.server.tasks.strategy import host_strategies
from activelabel.store.cases.new_annotation import NewAnnotation
from activelabel.store.ledger import Ledger
from benchmarks.machine import cpu_name

Shape = tuple[int, int, int]
SHAPE: Shape = (64, 64, 32)
KIND = ScoreKind("variance")
CANDIDATES = 16
OPERATIONS = ("next sample", "save label", "keep a score")
SETTLE_SECONDS = 2  # time for work after an answer, so that it does not slow down the other arm

T = TypeVar("T")
Times = tuple[float, float]
"""Milliseconds of the processor, which other programs change little, and of the wall."""


class Arm(Protocol):
    """An arm: one implementation of the three operations."""

    def next_sample(self, annotator: str) -> str:
        """The id of the image that this annotator gets."""

    def save_label(self, image_id: str, annotator: str) -> None:
        """Keep their label of it."""

    def keep_score(self, image_id: str, value: float) -> None:
        """Keep a new score of an image."""


class Served:
    """A datastore and a strategy, called as the host's endpoints call them."""

    def __init__(self, datastore: Datastore, strategy: Strategy, name: str, label: Path) -> None:
        self._datastore = datastore
        self._strategy = strategy
        self._name = name
        self._label = label

    def next_sample(self, annotator: str) -> str:
        """Ask the strategy, read the image's info, and note the annotator."""
        image_id: str = self._strategy({"strategy": self._name, "client_id": annotator}, self._datastore)["id"]
        given = self._datastore.get_image_info(image_id).get("strategy", {})
        given[self._name] = {"ts": int(time.time()), "client_id": annotator}
        self._datastore.update_image_info(image_id, {"strategy": given})
        return image_id

    def save_label(self, image_id: str, annotator: str) -> None:
        """Hand the label file over."""
        self._datastore.save_label(image_id, str(self._label), "final", {"client_id": annotator, "finished": True})

    def stop(self) -> None:
        """Stop watching the folder."""
        self._datastore._observer.stop()
        self._datastore._observer.join()


class Host(Served):
    """The host's own datastore and strategy, which keep a score in the info of an image."""

    def __init__(self, studies: Path, label: Path, scores: dict[str, float]) -> None:
        datastore = LocalDatastore(str(studies), auto_reload=True)
        super().__init__(datastore, Epistemic(k=CANDIDATES), "epistemic", label)
        for image_id, value in scores.items():  # one by one, as in its scoring, this would take most of an hour
            datastore._datastore.objects[image_id].image.info["epistemic_entropy"] = value
        self.keep_score(*next(iter(scores.items())))

    def keep_score(self, image_id: str, value: float) -> None:
        """Keep a score as the host's scoring methods do."""
        self._datastore.update_image_info(image_id, {"epistemic_entropy": value})


class LedgerAlone:
    """The share of the database alone."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def next_sample(self, annotator: str) -> str:
        """Lease the best remaining case."""
        for image_id in self._ledger.ranking(1, KIND, limit=CANDIDATES):
            lease = self._ledger.grant_lease(annotator, image_id, 60, "variance")
            if lease is not None:
                return lease.image_id
        raise RuntimeError("nothing is left to ask for")

    def save_label(self, image_id: str, annotator: str) -> None:
        """Record a label without writing its file."""
        self._ledger.keep_label(NewAnnotation(image_id, "label.nii.gz", "0" * 64, annotator))

    def keep_score(self, image_id: str, value: float) -> None:
        """Record a score of the first model."""
        self._ledger.record_scores(1, image_id, [Score.of_kind(KIND, value)], repeats=5, seed=0)


class Ours(Served):
    """Our datastore and strategy over a ledger, which keeps the scores."""

    def __init__(self, studies: Path, label: Path, scores: dict[str, float]) -> None:
        conf = {"labels": "liver", "device": "cpu", "autopilot": "false"}
        project = open_project(str(studies.parent), str(studies), conf)
        archive = open_archive(project)
        cases = project.recipe.training.validation_cases
        datastore = LedgerDatastore(str(studies), project.ledger, archive, validation_cases=cases, follow_changes=True)
        super().__init__(datastore, host_strategies(project)["variance"], "variance", label)
        project.ledger.publish_model("none.pt", "0" * 64, project.recipe.name, project.labels, {}, [])
        self.alone = LedgerAlone(project.ledger)
        for image_id, value in scores.items():
            file = datastore.image_files(image_id)  # which scoring has read, and whose slices it has counted
            archive.slice_axis(image_id, read_case(image_id, file, project.ledger).grid)
            self.keep_score(image_id, value)

    def keep_score(self, image_id: str, value: float) -> None:
        """Keep a score as our scoring methods do."""
        self.alone.keep_score(image_id, value)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--shape", type=shape_of, default=SHAPE, help="of each volume, as 512x512x100")
    arguments = parser.parse_args()
    if arguments.images <= 2 * arguments.repeats + 2:  # cases that are labelled, and others that are scored meanwhile
        parser.error(f"--images: expected more than {2 * arguments.repeats + 2}, got {arguments.images}")
    with tempfile.TemporaryDirectory() as work:
        report(arguments.images, arguments.repeats, Path(work), arguments.shape)


def shape_of(text: str) -> Shape:
    """Three numbers of voxels with an x between them."""
    width, height, depth = map(int, text.split("x"))
    return width, height, depth


def report(images: int, repeats: int, work: Path, shape: Shape) -> None:
    """Print the conditions and the table."""
    print(f"{cpu_name()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at start")
    versions = (
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, MONAI Label {version('monailabel')}"
    )
    print(f"{versions}; {images} images of {shape} voxels")
    print(f"each operation timed {repeats} times after one that is not; nothing is random")
    scores = {f"case_{number:06}": number / images for number in range(images)}
    label = write_volume(work / "label.nii.gz", np.uint8, shape)
    host = Host(linked_studies(work / "host", scores, shape), label, scores)
    started = time.perf_counter()
    ours = Ours(linked_studies(work / "ours", scores, shape), label, scores)
    print(f"first start and all {images} scores one by one, ours: {time.perf_counter() - started:.0f} s")
    arms: dict[str, Arm] = {"host": host, "ours": ours, "the ledger in ours": ours.alone}
    took: dict[str, dict[str, list[Times]]] = {name: {operation: [] for operation in OPERATIONS} for name in arms}
    for turn in range(repeats + 1):
        for name, arm in arms.items():
            for operation, milliseconds in one_case(arm, f"{name} {turn}", list(scores)[turn]).items():
                if turn > 0:
                    took[name][operation].append(milliseconds)
            time.sleep(SETTLE_SECONDS)
    for served in (host, ours):
        served.stop()
    print_table(took)


def one_case(arm: Arm, annotator: str, other_id: str) -> dict[str, Times]:
    """Score one image, ask for another and label it; return the milliseconds of each operation."""
    _, scored = timed(lambda: arm.keep_score(other_id, 0.0))
    image_id, asked = timed(lambda: arm.next_sample(annotator))
    _, saved = timed(lambda: arm.save_label(image_id, annotator))
    return {"keep a score": scored, "next sample": asked, "save label": saved}


def timed(action: Callable[[], T]) -> tuple[T, Times]:
    """The result of an action, and its milliseconds."""
    processor, wall = time.process_time(), time.perf_counter()
    result = action()
    return result, (1000 * (time.process_time() - processor), 1000 * (time.perf_counter() - wall))


def print_table(took: dict[str, dict[str, list[Times]]]) -> None:
    """Print two rows for each operation: median and maximum of each arm, and the ratio of the host's median to ours."""
    print(f"| median (largest), ms | {' | '.join(took)} | host / ours |")
    print(f"|---|{'---:|' * len(took)}---:|")
    for operation in OPERATIONS:
        for place, unit in enumerate(("processor", "wall")):
            times = {name: [one[place] for one in took[name][operation]] for name in took}
            medians = {name: statistics.median(values) for name, values in times.items()}
            cells = [f"{medians[name]:.1f} ({max(values):.1f})" for name, values in times.items()]
            print(f"| {operation}, {unit} | {' | '.join(cells)} | {medians['host'] / medians['ours']:.1f} |")


def linked_studies(folder: Path, image_ids: Iterable[str], shape: Shape) -> Path:
    """A studies folder in which every image is the same file."""
    folder.mkdir()
    volume = write_volume(folder.parent / f"{folder.name}.nii.gz", np.int16, shape)
    for image_id in image_ids:
        os.link(volume, folder / f"{image_id}.nii.gz")
    return folder


def write_volume(path: Path, dtype: type[np.generic], shape: Shape) -> Path:
    """A volume with an ellipsoid of ones, half as wide as the volume: as a reader draws an organ."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij", sparse=True)
    voxels = (x**2 + y**2 + z**2 < 0.25).astype(dtype)
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), path)
    return path


if __name__ == "__main__":
    main()
