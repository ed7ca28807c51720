"""The ledger with 10^4, 10^5 and 10^6 images: next sample, save label, keep a score, `/info/`, worklist, start, memory.

    python benchmarks/ledger_size.py [--images 10000 100000 1000000] [--repeats 20] [--database-url postgresql://…/NAME]

Each ledger is filled with images of which all have one kind of score and one in a hundred, at most 1,000, has a label;
then each operation is called as the server calls it, in turn. Every image is the same small file: reading it is left
out of *save label*, which records a label that is on the disk already. Each operation changes the ledger, so nothing is
answered from memory. *Look for work* is what the autopilot does every second, *claim* what a worker does for each
image. On SQLite the processor time is shown too, which other programs change little.
"""

import argparse
import json
import os
import platform
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, ClassVar

import nibabel
import numpy as np
import psutil
import psycopg
from sqlalchemy import insert

from activelabel.acquisition.score import Score
from activelabel.data.files.channels import ImageFiles
from activelabel.loop.due import read_situation, work_due
from activelabel.loop.scoring import scored_measure
from activelabel.names import ScoreKind
from activelabel.project.opening import open_project
from activelabel.project.project import Project
from activelabel.project.settings import DATABASE_URL
from activelabel.store.cases.new_annotation import NewAnnotation
from activelabel.store.claims import Job
from activelabel.store.schema.images import ImageRow
from activelabel.store.schema.labels import AnnotationRow
from activelabel.store.schema.models import ScoreRow
from activelabel.strategies.catalogue import build_strategies

KIND = ScoreKind("variance")
AT_ONCE = 20_000
MARKS = {"next sample": 20.0, "save label": 30.0, "info": 200.0, "start": 10_000.0}


class OneFile:
    """Every image is the same file."""

    def __init__(self, file: Path) -> None:
        self._file = ImageFiles(file)

    def image_files(self, image_id: str) -> ImageFiles:
        """The file."""
        return self._file

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """Nothing."""
        return {}


def main() -> None:
    """Read the command line; each size runs in a process of its own, so that memory can be told apart."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--database-url", default="", help="a PostgreSQL database, which is emptied; default SQLite")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        with tempfile.TemporaryDirectory() as work:
            measured = measure(Path(work), arguments.images[0], arguments.repeats, arguments.database_url)
            print(json.dumps(measured))
        return
    name = arguments.database_url.split("@")[-1] or f"SQLite {sqlite3.sqlite_version}"
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at start; {name}")
    print(f"Python {platform.python_version()}; each timed {arguments.repeats} times; ms as median (95th percentile)")
    results = {}
    for images in arguments.images:
        again = [sys.executable, __file__, "--one", "--images", str(images), "--repeats", str(arguments.repeats)]
        child = subprocess.run(
            [*again, "--database-url", arguments.database_url], stdout=subprocess.PIPE, check=True, encoding="utf-8"
        )
        results[images] = json.loads(child.stdout.splitlines()[-1])
        print(f"{images}: {results[images]}", file=sys.stderr)
    print_table(results)


def measure(work: Path, images: int, repeats: int, url: str) -> dict[str, list[float]]:
    """The milliseconds of each operation, and the largest memory of the process in MB."""
    if url:
        with psycopg.connect(url, autocommit=True) as database:
            database.execute("DROP SCHEMA public CASCADE")
            database.execute("CREATE SCHEMA public")
    project = opened(work, url)
    file = work / "image.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.zeros((16, 16, 8), np.int16), np.eye(4)), file)
    fill(project, images, file)
    project.ledger.close()
    took: dict[str, list[float]] = {"memory before, MB": [memory()], "start": []}
    for _ in range(2):
        took["start"].append(timed(lambda: started(work, url, images)))
    project = opened(work, url)
    operations = dict(operations_of(project, OneFile(file)))
    for turn in range(repeats + 1):
        for name, operation in operations.items():
            processor = time.process_time()
            milliseconds = timed(operation)
            if turn:
                took.setdefault(name, []).append(milliseconds)
                if not url:
                    took.setdefault(f"{name}, processor", []).append(1000 * (time.process_time() - processor))
    took["memory at most, MB"] = [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]
    return took


def memory() -> float:
    """The memory of this process now, in MB."""
    return float(psutil.Process().memory_info().rss / 2**20)


def opened(work: Path, url: str) -> Project:
    """The project, opened as the server does."""
    conf = {"labels": "liver", "device": "cpu", "project_dir": str(work / "project")}
    return open_project(str(work), str(work), conf, {DATABASE_URL: url} if url else {})


def started(work: Path, url: str, images: int) -> None:
    """What a server does with the ledger before it answers."""
    project = opened(work, url)
    project.ledger.check()
    project.ledger.sync_images((name_of(number) for number in range(images)), 40)
    project.ledger.progress()
    project.ledger.close()


def fill(project: Project, images: int, file: Path) -> None:
    """Images with scores; one in a hundred has a label."""
    ledger, now = project.ledger, datetime(2026, 1, 1, tzinfo=timezone.utc)
    ledger.sync_images(["case_0000000"], 0)
    ledger.publish_model("none.pt", "0" * 64, project.recipe.name, project.labels, {}, [])
    ledger.fix_fact("modality", "CT", "made up")
    common = {"added_at": now, "present": True, "leased_whole": True, "content_sha256": "0" * 64}
    status = file.stat()
    stamp = {
        "file_size": status.st_size,
        "file_modified_ns": status.st_mtime_ns,
        "intensities": [-900.0, 0.0, 900.0, 1.0],
    }
    for first in range(1, images, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, images))
        rows = [
            {**common, "id": name_of(number), "role": "validation" if number < 40 else "training", **stamp}
            for number in numbers
        ]  # fmt: skip
        scores = [
            {"image_id": name_of(number), "model_version": 1, "measure": "variance", "region": "everything",
             "aggregation": "total", "value": number / images, "slices": None, "repeats": 5, "seed": 0,
             "created_at": now}
            for number in numbers
            if number >= 40
        ]  # fmt: skip
        with ledger._writing() as session:
            session.execute(insert(ImageRow), rows)
            session.execute(insert(ScoreRow), scores)
    labelled = [name_of(number * 100 + 50) for number in range(min(images // 100, 1000))]
    with ledger._writing() as session:
        session.execute(insert(AnnotationRow), [label_of(image_id, now) for image_id in labelled])
        ledger_statistics(session)


def label_of(image_id: str, now: datetime) -> dict[str, Any]:
    """The row of a label of a whole volume."""
    return {
        "image_id": image_id, "tag": "final", "version": 1, "file": f"{image_id}/final.nii.gz", "sha256": "0" * 64,
        "slices": None, "covered_slices": 100, "foreground_slices": 20, "annotator": "ann", "seconds": 60.0,
        "round_number": 1, "created_at": now, "label_names": ["liver"],
    }  # fmt: skip


def ledger_statistics(session: Any) -> None:
    """Let the database look at its tables, as autovacuum does after a while."""
    session.connection().exec_driver_sql("ANALYZE")


def name_of(number: int) -> str:
    """The id of an image."""
    return f"case_{number:07}"


def operations_of(project: Project, images: OneFile) -> Iterator[tuple[str, Callable[[], object]]]:
    """Each operation by its name."""
    from activelabel.server.actions.info import AppInfo

    ledger, strategy = project.ledger, build_strategies(project)["variance"]
    measure = scored_measure(project)
    counter = iter(range(10**9))
    asked: list[tuple[str, str]] = []

    def ask() -> None:
        annotator = f"ann {next(counter)}"
        asked.append((annotator, strategy.next(annotator, images)["id"]))

    def save() -> None:
        annotator, image_id = asked[-1]
        ledger.keep_annotation(NewAnnotation(image_id, f"{annotator}.nii.gz", "0" * 64, annotator))

    yield "next sample", ask
    yield "save label", save
    yield "keep a score", lambda: ledger.record_scores(1, name_of(77), [Score.of_kind(KIND, 0.5)], 5, 0)
    app = AppInfo(project, NoListing(), NoTasks(), NoCases(project), None)  # type: ignore[arg-type]
    yield "info", lambda: app._compute()
    yield "look for work", lambda: work_due(read_situation(project, measure), project.thresholds)
    yield "claim", lambda: ledger.claim_images(Job("score", 1, KIND), "worker", 60)
    from activelabel.server.actions.worklist import WorklistReader

    yield "worklist", lambda: WorklistReader(ledger).read()


class NoListing:
    """The part of the datastore that `/info/` uses, without a listing."""

    revision = 0

    def status(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def passed_over(self) -> list[str]:
        """Nothing."""
        return []

    def patients(self) -> dict[str, str]:
        """Nothing."""
        return {}


class NoTasks:
    """No tasks."""

    infers: ClassVar[dict[str, Any]] = {}
    trainers: ClassVar[dict[str, Any]] = {}
    strategies: ClassVar[dict[str, Any]] = {}
    scoring_methods: ClassVar[dict[str, Any]] = {}


class NoCases:
    """The cases of `/info/`: drafts, and what is skipped."""

    def __init__(self, project: Project) -> None:
        self._project = project

    def cases(self) -> dict[str, Any]:
        """Those that the server shows."""
        ledger = self._project.ledger
        return {"drafts": len(ledger.open_drafts()), "skipped": len(ledger.skipped_for_now())}


def timed(operation: Callable[[], object]) -> float:
    """The milliseconds of an operation."""
    began = time.perf_counter()
    operation()
    return 1000 * (time.perf_counter() - began)


def print_table(results: dict[int, dict[str, list[float]]]) -> None:
    """One row for each operation, one column for each size."""
    print(f"| | {' | '.join(f'{images:,} images' for images in results)} | mark |\n|---|{'---:|' * (len(results) + 1)}")
    for name in next(iter(results.values())):
        cells = []
        for took in results.values():
            times = sorted(took[name])
            p95 = times[min(len(times) - 1, int(0.95 * len(times)))]
            one = len(times) < 5
            cells.append(f"{times[-1]:.0f}" if one else f"{statistics.median(times):.1f} ({p95:.1f})")
        mark = MARKS.get(name)
        print(f"| {name} | {' | '.join(cells)} | {'' if mark is None else f'≤ {mark:g}'} |")


if __name__ == "__main__":
    main()
