"""The ledger with 10^4, 10^5 and 10^6 images: what an event costs, and whether that grows with the pool.

    python benchmarks/ledger_size.py [--images 10000 100000 1000000] [--repeats 10] [--database-url postgresql://…/NAME]

Each ledger is filled with images that all have one kind of score, and of which one in a hundred, at most 1,000, has a
label. Then each operation calls the ledger as the server does, in turn, without files and without the network: *next
sample* reads what a strategy by one score reads and grants a lease, *save label* records a label whose file is on the
disk already, *info* reads what `GET /info/` reads of the ledger, *look for work* what the autopilot reads every second,
*claim* what a worker does for each image. Each changes the ledger or follows a change, so nothing is answered from
memory. Milliseconds of the processor, which other programs change less, and of the wall.

With PostgreSQL the processor's time is that of this process alone.
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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg

from activelabel.acquisition.score import Score
from activelabel.names import ScoreKind
from activelabel.store.cases.new_annotation import NewAnnotation
from activelabel.store.claims import Job
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger

KIND = ScoreKind("variance")
JOB = Job("score", 1, KIND)
VALIDATION = 40
LABELS_AT_MOST = 1000
NOW = "2026-01-01 00:00:00.000000"
MARKS = {"next sample": "p95 ≤ 20", "save label": "≤ 30", "info": "≤ 200", "start": "≤ 10,000"}

IMAGES = ("id", "added_at", "role", "present", "leased_whole", "content_sha256", "file_size", "file_modified_ns",
          "intensities")  # fmt: skip
SCORES = ("image_id", "model_version", "measure", "region", "aggregation", "value", "repeats", "seed", "created_at")
LABELS = ("image_id", "tag", "version", "file", "sha256", "covered_slices", "foreground_slices", "annotator", "seconds",
          "round_number", "created_at")  # fmt: skip

Times = dict[str, list[tuple[float, float]]]


def main() -> None:
    """Read the command line; each size runs in a process of its own, so that memory can be told apart."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--database-url", default="", help="a PostgreSQL database, which is emptied; default SQLite")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    url = arguments.database_url
    if arguments.one:
        with tempfile.TemporaryDirectory() as work:
            print(json.dumps(measure(Path(work), arguments.images[0], arguments.repeats, url)))
        return
    name = "PostgreSQL" if url else f"SQLite {sqlite3.sqlite_version}"
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at start; {name}; ", end="")
    print(f"Python {platform.python_version()}; {arguments.repeats} times each; processor / wall ms: median (largest)")
    results = {}
    for images in arguments.images:
        again = [sys.executable, __file__, "--one", "--images", str(images), "--repeats", str(arguments.repeats)]
        ended = subprocess.run([*again, "--database-url", url], stdout=subprocess.PIPE, check=True, encoding="utf-8")
        results[images] = json.loads(ended.stdout.splitlines()[-1])
        print_table({images: results[images]})
    print_table(results)


def measure(work: Path, images: int, repeats: int, url: str) -> dict[str, Any]:
    """The times of each operation, and the memory of the process in MB."""
    if url:
        with psycopg.connect(url, autocommit=True) as database:
            database.execute("DROP SCHEMA public CASCADE")
            database.execute("CREATE SCHEMA public")
    url = url or sqlite_url(work / "ledger.sqlite")
    fill(url, work / "ledger.sqlite", images)
    took: Times = {}
    ledger, scored_all = Ledger(url), list[bool]()
    timed(took, "start", lambda: start(ledger, images))
    for turn in range(repeats + 1):
        for name, operation in operations(ledger, turn, scored_all):
            timed(took if turn else {}, name, operation)
    timed(took, "claim, when none is left", lambda: ledger.claim_images(JOB, "worker", 60))
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**took, "memory at most, MB": [(most, most)]}


def start(ledger: Ledger, images: int) -> None:
    """What a start does with the ledger: register what is there, of which nothing is new, and count."""
    ledger.sync_images((name_of(number) for number in range(images)), VALIDATION)
    ledger.progress()


def operations(ledger: Ledger, turn: int, scored_all: list[bool]) -> Iterator[tuple[str, Callable[[], object]]]:
    """Each operation by its name; `scored_all` remembers that all is scored, as the server does."""
    annotator, asked = f"ann {turn}", list[str]()

    def ask() -> None:
        ledger.active_lease(annotator)
        ledger.passed_over(annotator)
        ledger.drafts_to_finish(annotator)
        ledger.returned_to(annotator)
        ledger.pool("validation")
        ledger.asked_so_far()
        ledger.model_use()
        ledger.sound_models()
        ledger.model_uses()
        ledger.model(1)
        ledger.has_scores(1, KIND)
        if not scored_all and not ledger.count_unscored(1, KIND):
            scored_all.append(True)
        for image_id in ledger.ranking(1, KIND, 16 + ledger.count_passed_over()):
            ledger.image(image_id)
            if ledger.grant_lease(annotator, image_id, 60, "variance") is not None:
                asked.append(image_id)
                return

    def info() -> None:
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
        ledger.progress()
        ledger.count_unscored(1, KIND)
        ledger.has_pool("training")

    yield "next sample", ask
    yield "save label", lambda: ledger.keep_annotation(NewAnnotation(asked[0], annotator, "0" * 64, annotator))
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
    labelled = range(150, images, 100)[:LABELS_AT_MOST]
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
    return name_of(number), NOW, role, True, True, "0" * 64, 1, 1, "[-900, 0, 900, 1]"


def score_row(number: int, images: int) -> tuple[object, ...]:
    """The row of a score."""
    return name_of(number), 1, "variance", "everything", "total", number / images, 5, 0, NOW


def label_row(number: int) -> tuple[object, ...]:
    """The row of a label of a whole volume."""
    return name_of(number), "final", 1, name_of(number), "0" * 64, 100, 20, "ann", 60.0, 1, NOW


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
    """Median and largest, of the processor and of the wall."""
    both = ([one[place] for one in times] for place in (0, 1))
    return " / ".join(f"{statistics.median(values):.1f} ({max(values):.1f})" for values in both)


if __name__ == "__main__":
    main()
