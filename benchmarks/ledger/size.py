"""The ledger with 10^4, 10^5 and 10^6 images: what an event costs, and whether that grows with the pool.

    python -m benchmarks.ledger.size [--images 10000 100000 1000000] [--repeats 40] [--database-url postgresql://…/NAME]
                                     [--filled FOLDER] [--as-filled]

Each ledger is filled with images that all have one kind of score, and of which one in a hundred, at most 1,000, has a
label. Then each operation calls the ledger as the server does, in turn, without the network: *next sample* is what a
strategy by one score does for a request, the header of the image's file and the lease included, *save label* records a
label whose file is on the disk already, *info* reads what `GET /info/` reads of the ledger, *look for work* what the
autopilot reads every second, *claim* what a worker does for each image. Each changes the ledger or follows a change, so
nothing is answered from memory. *Claim, when none is left* asks for images of a scoring that is complete. Milliseconds
of the processor, which other programs change less, and of the wall. The memory is what comes to that which the process
takes with its modules alone (torch and the like).

With `--filled`, the ledger that is filled on SQLite is kept in that folder, and copied from there the next time. With
`--as-filled`, the PostgreSQL database is measured as an earlier run of the same size has left it. So filling, which
takes minutes, and measuring can be done at different times.

With PostgreSQL the processor's time is that of this process alone.
"""

import argparse
import json
import math
import os
import platform
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import psutil
import psycopg

from activelabel.acquisition.score import Score
from activelabel.data.files.image_files import ImageFiles
from activelabel.names import ScoreKind
from activelabel.project.opening import open_project
from activelabel.store.cases.new_annotation import NewAnnotation
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger
from activelabel.store.work.claims import Job
from activelabel.strategies.asking import ProjectStrategy
from activelabel.strategies.catalogue import build_strategy
from benchmarks.machine import cpu_name

KIND = ScoreKind("variance")
JOB = Job("score", 1, KIND)
VALIDATION = 40
LABELS_AT_MOST = 1000
FILE_SIZE, MODIFIED_NS = 33_120, 1_700_000_000_000_000_000
NOW = "2026-01-01 00:00:00.000000"
MARKS = {"next sample": "p95 ≤ 20", "save label": "≤ 30", "info": "≤ 200", "start": "≤ 10,000"}

IMAGES = ("id", "added_at", "role", "present", "leased_whole", "content_sha256", "file_size", "file_modified_ns",
          "intensities")  # fmt: skip
SCORES = ("image_id", "model_version", "measure", "region", "aggregation", "value", "repeats", "seed", "created_at")
LABELS = ("image_id", "tag", "version", "file", "sha256", "covered_slices", "foreground_slices", "annotator", "seconds",
          "round_number", "created_at", "label_names")  # fmt: skip

Times = dict[str, list[tuple[float, float]]]


def main() -> None:
    """Read the command line; each size runs in a process of its own, so that memory can be told apart."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--database-url", default="", help="a PostgreSQL database, which is emptied; default SQLite")
    parser.add_argument("--filled", type=Path, help="folder of filled SQLite ledgers, which are made there if needed")
    parser.add_argument("--as-filled", action="store_true", help="do not empty and fill the PostgreSQL database")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    url = arguments.database_url
    if arguments.one:
        with tempfile.TemporaryDirectory() as work:
            found = measure(
                Path(work), arguments.images[0], arguments.repeats, url, arguments.filled, arguments.as_filled
            )
            print(json.dumps(found))
        return
    name = "PostgreSQL" if url else f"SQLite {sqlite3.sqlite_version}"
    print(f"{cpu_name()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at start; {name}; ", end="")
    print(f"Python {platform.python_version()}; {arguments.repeats} times each; processor / wall ms: median (p95)")
    results = {}
    for images in arguments.images:
        again = [sys.executable, "-m", "benchmarks.ledger.size", "--one", "--images", str(images)]
        again += ["--repeats", str(arguments.repeats)]
        again += ["--database-url", url, *([] if arguments.filled is None else ["--filled", str(arguments.filled)])]
        again += ["--as-filled"] if arguments.as_filled else []
        ended = subprocess.run(again, stdout=subprocess.PIPE, check=True, encoding="utf-8")
        results[images] = json.loads(ended.stdout.splitlines()[-1])
        print_table({images: results[images]})
    print_table(results)


def measure(work: Path, images: int, repeats: int, url: str, filled: Path | None, as_filled: bool) -> dict[str, Any]:
    """The times of each operation, and the memory of the process in MB."""
    images_folder = OneFile(work / "studies")
    file = work / "project" / "ledger.sqlite"
    file.parent.mkdir()
    if url:
        if not as_filled:
            with psycopg.connect(url, autocommit=True) as database:
                database.execute("DROP SCHEMA public CASCADE")
                database.execute("CREATE SCHEMA public")
            fill(url, file, images)
    else:
        url, kept = sqlite_url(file), None if filled is None else filled / f"{images}.sqlite"
        if kept is None or not kept.is_file():
            fill(url, file, images)
            if kept is not None:
                kept.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, kept)
        else:
            shutil.copy(kept, file)
    took: Times = {}
    ledger, strategy = variance(work, url)
    before = psutil.Process().memory_info().rss
    timed(took, "start", lambda: start(ledger, images))
    for turn in range(repeats + 1):
        for name, operation in operations(ledger, strategy, images_folder, turn):
            timed(took if turn else {}, name, operation)
    timed(took, "claim, when none is left", lambda: ledger.claim_images(JOB, "worker", 60))
    most = (1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20
    return {**took, "memory at most, MB": [(most, most)]}


class OneFile:
    """A folder in which all images are one file, so that a million need no room."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._file = folder / "image.nii"
        nibabel.save(nibabel.Nifti1Image(np.zeros((32, 32, 16), np.int16), np.eye(4)), self._file)
        os.utime(self._file, ns=(MODIFIED_NS, MODIFIED_NS))
        assert self._file.stat().st_size == FILE_SIZE

    def image_files(self, image_id: str) -> ImageFiles:
        """The files of an image."""
        return ImageFiles(self._file)

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """What else is known of an image."""
        return {}


def variance(work: Path, url: str) -> tuple[Ledger, ProjectStrategy]:
    """The ledger of a project, and its strategy by one score."""
    conf = {"labels": "liver", "device": "cpu", "project_dir": str(work / "project"), "autopilot": "false"}
    project = open_project(str(work), str(work / "studies"), conf, {"ACTIVELABEL_DATABASE_URL": url})
    return project.ledger, build_strategy(project, "variance")


def start(ledger: Ledger, images: int) -> None:
    """What a start does with the ledger: register what is there, of which nothing is new, and count."""
    ledger.sync_images((name_of(number) for number in range(images)), VALIDATION)
    ledger.progress()


def operations(
    ledger: Ledger, strategy: ProjectStrategy, images: OneFile, turn: int
) -> Iterator[tuple[str, Callable[[], object]]]:
    """Each operation by its name."""
    annotator, asked = f"ann {os.getpid()} {turn}", list[str]()  # somebody new each time

    def ask() -> None:
        with ledger.one_look():
            ledger.skip_if_asked_again(annotator, 2, 60)
            asked.append(strategy.next(annotator, images)["id"])

    def info() -> None:
        with ledger.one_look():
            read_info()

    def read_info() -> None:
        ledger.progress()
        ledger.count_unscored(1, KIND)
        ledger.has_pool("training")
        ledger.models()
        ledger.model_efforts()
        ledger.effort({})
        ledger.unchanged_labels()
        ledger.images_set_aside()
        ledger.measured_intensities(1000)
        ledger.labels_to_learn("validation")
        ledger.latest_uncertainty_checks(10, [1])
        ledger.open_drafts()
        ledger.skipped_for_now()

    def work_to_do() -> None:
        with ledger.one_look():
            ledger.progress()
            ledger.count_unscored(1, KIND)
            ledger.has_pool("training")

    yield "next sample", ask
    yield "save label", lambda: ledger.keep_label(NewAnnotation(asked[0], annotator, "0" * 64, annotator))
    yield "keep a score", lambda: ledger.record_scores(1, name_of(77), [Score.of_kind(KIND, 0.5)], 5, 0)
    yield "info", info
    yield "look for work", work_to_do
    yield (
        "a page of 1,000 images",
        lambda: [image for image, _ in zip(ledger.usable_images(), range(1000), strict=False)],
    )
    yield "claim", lambda: ledger.claim_images(Job("score", 2, KIND), "worker", 60, after=name_of(100 * turn))


def fill(url: str, file: Path, images: int) -> None:
    """Make a ledger with a model, and put images, scores and labels into it."""
    ledger = Ledger(url)
    ledger.sync_images([name_of(0)], 0)
    for _ in range(2):
        ledger.publish_model("none", "0" * 64, "quick", ["liver"], {}, [])
    ledger.use_model(1, "ann")
    ledger.mark_readable(name_of(0))
    ledger.record_scores(1, name_of(0), [Score.of_kind(KIND, 0.0)], 5, 0)
    ledger.close()
    # With labels of all validation cases, each next sample is one that the scores choose.
    labelled = [*range(1, VALIDATION), *range(150, images, 100)[:LABELS_AT_MOST]]
    tables: dict[str, tuple[Sequence[str], Iterator[tuple[object, ...]]]] = {
        "images": (IMAGES, (image_row(number) for number in range(1, images))),
        "scores": (SCORES, (score_row(number, images) for number in range(VALIDATION, images))),
        "annotations": (LABELS, (label_row(number) for number in labelled)),
    }
    count = (images - VALIDATION,)
    if file.is_file():
        with sqlite3.connect(file) as database:
            database.execute("PRAGMA synchronous = OFF")
            for table, (columns, rows) in tables.items():
                places = ", ".join("?" * len(columns))
                database.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", rows)  # noqa: S608
            database.execute("UPDATE scored_counts SET images = images + ?", count)
        return
    with psycopg.connect(url) as server:
        for table, (columns, rows) in tables.items():
            with server.cursor().copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        server.execute("UPDATE scored_counts SET images = images + %s", count)
        server.commit()
        server.autocommit = True
        server.execute("VACUUM ANALYZE")  # as autovacuum does soon


def image_row(number: int) -> tuple[object, ...]:
    """The row of an image."""
    role = "validation" if number < VALIDATION else "training"
    return name_of(number), NOW, role, True, True, "0" * 64, FILE_SIZE, MODIFIED_NS, "[-900, 0, 900, 1]"


def score_row(number: int, images: int) -> tuple[object, ...]:
    """The row of a score."""
    return name_of(number), 1, "variance", "everything", "total", number / images, 5, 0, NOW


def label_row(number: int) -> tuple[object, ...]:
    """The row of a label of a whole volume."""
    return name_of(number), "final", 1, name_of(number), "0" * 64, 100, 20, "ann", 60.0, 1, NOW, '["liver"]'


def name_of(number: int) -> str:
    """The id of an image."""
    return f"case_{number:07}"


def timed(took: Times, name: str, operation: Callable[[], object]) -> None:
    """Note the milliseconds of an operation, of the processor and of the wall."""
    processor, wall = time.process_time(), time.perf_counter()
    operation()
    took.setdefault(name, []).append((1000 * (time.process_time() - processor), 1000 * (time.perf_counter() - wall)))


def print_table(results: dict[int, dict[str, list[tuple[float, float]]]]) -> None:
    """One row for each operation, one column for each size."""
    print(f"| | {' | '.join(f'{images:,} images' for images in results)} | mark |\n|---|{'---:|' * (len(results) + 1)}")
    for name in next(iter(results.values())):
        cells = [cell(took[name]) if "memory" not in name else f"{took[name][0][0]:.0f}" for took in results.values()]
        print(f"| {name} | {' | '.join(cells)} | {MARKS.get(name, '')} |", flush=True)


def cell(times: list[tuple[float, float]]) -> str:
    """Median and 95th percentile, of the processor and of the wall."""
    both = (sorted(one[place] for one in times) for place in (0, 1))
    return " / ".join(
        f"{statistics.median(values):.1f} ({values[math.ceil(0.95 * len(values)) - 1]:.1f})" for values in both
    )


if __name__ == "__main__":
    main()
