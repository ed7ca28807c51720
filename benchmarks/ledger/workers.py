"""Workers that share a pool through the ledger: what each added one is worth, and what is lost when some are killed.

    python -m benchmarks.ledger.workers [--images 10000] [--forward 0.2] [--most 8] [--seconds 10] [--database-url URL]
    python -m benchmarks.ledger.workers --cost [--database-url URL]
    python -m benchmarks.ledger.workers --real [--images 24]

The images are made up and scoring one is a pause of `--forward` seconds, so that many workers fit on few cores: what is
measured is how they share the work, not how fast a network is. The workers are actors of a Ray cluster on this
machine; claims, heartbeats and scores go through the ledger, as with `activelabel work`. For each number of workers the
rate is measured over `--seconds`; then the rest of the pool is scored by `--most` workers, of which one is killed at
random every few seconds. At the end each image must have been scored once. The images of the table are those that
workers have finished; whether each is in the ledger is seen at the end.

With `--cost`, one process claims images and writes their scores without a pause: the processor milliseconds of an
image, of this process and of the database's, which bound how many workers one database feeds.

With `--real`, one and two workers with one thread each score hippocampus-sized volumes with the network of `quick`.
"""

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TextIO

import nibabel
import numpy as np
import psutil
import psycopg
import torch

from activelabel.acquisition.score import ImageScores, Score
from activelabel.loop.holding import Holding
from activelabel.loop.written_behind import ScoresBehind
from activelabel.names import ScoreKind
from activelabel.networks import build_network
from activelabel.project.models.publishing import publish_model
from activelabel.project.opening import open_project
from activelabel.project.place import write_place
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger
from activelabel.store.work.claims import Job
from activelabel.work.launching import Fleet, RayWorkers
from benchmarks.machine import cpu_name

KIND = ScoreKind("variance")
JOB = Job("score", 1, KIND)
LEASE_SECONDS = 6.0
COSTED = 300
SHAPE = (36, 50, 35)  # of the hippocampus volumes of the Decathlon


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--forward", type=float, default=0.2, help="seconds that scoring an image takes")
    parser.add_argument("--most", type=int, default=8, help="up to how many workers")
    parser.add_argument("--seconds", type=float, default=10, help="for how long each rate is measured")
    parser.add_argument("--kill-every", type=float, default=7, help="seconds between two workers that are killed")
    parser.add_argument("--database-url", default="", help="an empty PostgreSQL database; default an SQLite file")
    parser.add_argument("--real", action="store_true", help="one and two real workers instead")
    parser.add_argument("--cost", action="store_true", help="what a claim and a result cost instead")
    arguments = parser.parse_args()
    print(f"{cpu_name()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at start")
    with tempfile.TemporaryDirectory() as work:
        if arguments.real:
            real(Path(work), min(arguments.images, 24))
            return
        url = arguments.database_url or sqlite_url(Path(work) / "ledger.sqlite")
        if arguments.cost:
            cost(filled(url, arguments.images), url)
        else:
            simulated(url, Path(work), arguments)


def filled(url: str, images: int) -> Ledger:
    """A ledger with images and a model that has scored none of them."""
    ledger = Ledger(url)
    if ledger.file is None:
        with psycopg.connect(url, autocommit=True) as database:
            database.execute("DROP SCHEMA public CASCADE")
            database.execute("CREATE SCHEMA public")
    ledger.sync_images([f"case_{number:06}" for number in range(images)], 0)
    ledger.publish_model("none", "0" * 64, "quick", ["liver"], {}, [])
    if ledger.file is None:
        with psycopg.connect(url, autocommit=True) as database:
            database.execute("ANALYZE")  # as autovacuum does within a minute
    return ledger


def cost(ledger: Ledger, url: str) -> None:
    """Print the processor milliseconds that an image costs, by how many are claimed and written at once."""
    print("| images at once | scores of an image | claim | result | the database | together, ms an image |")
    print("|---:|---:|---:|---:|---:|---:|")
    after = ""
    for at_once, scores in ((1, 1), (1, 53), (10, 1), (10, 53), (64, 1)):
        turns = max(COSTED // at_once, 8)
        claims, results, before = 0.0, 0.0, 0.0
        for turn in range(turns + 2):
            if turn == 2:  # statements are built and prepared by then
                claims, results, before = 0.0, 0.0, seconds_of_database(ledger, url)
            began = time.process_time()
            image_ids = ledger.claim_images(JOB, "worker", 60, at_once, after)
            claimed = time.process_time()
            ledger.record_scores_of_images(1, [scores_of(one, scores) for one in image_ids], 0, worker="worker")
            claims += claimed - began
            results += time.process_time() - claimed
            after = image_ids[-1]
        database = seconds_of_database(ledger, url) - before
        parts = [1000 * part / (turns * at_once) for part in (claims, results, database)]
        print(f"| {at_once} | {scores} | {' | '.join(f'{part:.2f}' for part in [*parts, sum(parts)])} |", flush=True)


def seconds_of_database(ledger: Ledger, url: str) -> float:
    """The processor seconds of the processes of a PostgreSQL on this machine that serve the ledger; 0 for SQLite."""
    if ledger.file is not None:
        return 0.0
    with psycopg.connect(url) as database:
        mine = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        processes = [psutil.Process(pid) for (pid,) in database.execute(f"SELECT pid {mine}")]
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def scores_of(image_id: str, count: int = 1) -> ImageScores:
    """Scores of an image as a model gives them: one of a volume, or those of several measures and regions."""
    kinds = [KIND, *(ScoreKind("variance", f"region {number}", "total") for number in range(1, count))]
    return ImageScores(image_id, tuple(Score.of_kind(kind, 1.0) for kind in kinds), 5)


def simulated(url: str, work: Path, arguments: argparse.Namespace) -> None:
    """Measure the rates, then kill workers until all is scored, and check that each image was scored once."""
    ledger = filled(url, arguments.images)
    written, finished = work / "written", work / "finished"
    written.mkdir()
    finished.mkdir()
    os.environ.setdefault("RAY_worker_niceness", "0")  # by default Ray's processes give way to all others
    fleet = Fleet(arguments.most, cpus=1)
    workers = RayWorkers(fleet, partial(work_through, url, str(work), arguments.forward))
    kind = "SQLite" if ledger.file else "PostgreSQL"
    print(f"{arguments.images} images of {arguments.forward} s, {kind}, Ray {version('ray')} on this machine")
    print("| workers | images/s | of the ideal | of one per added worker |\n|---:|---:|---:|---:|")
    rates: list[float] = []
    for count in range(1, arguments.most + 1):
        workers.scale(count)
        rates.append(rate(finished, count, arguments.seconds))
        added = (rates[-1] - (rates[-2] if count > 1 else 0)) / rates[0]
        print(f"| {count} | {rates[-1]:.2f} | {rates[-1] * arguments.forward / count:.3f} | {added:.2f} |", flush=True)
    print(f"mean of one per added worker: {(rates[-1] / rates[0] - 1) / (len(rates) - 1):.3f}")
    killed, rest = 0, arguments.images - len(lines(written))
    started, chance = time.monotonic(), random.Random(0)
    killed_at = started
    while ledger.is_left(JOB):
        workers.scale(arguments.most)
        time.sleep(0.5)
        if time.monotonic() - killed_at > arguments.kill_every:
            os.kill(chance.choice(workers.process_ids()), signal.SIGKILL)
            killed, killed_at = killed + 1, time.monotonic()
    seconds = time.monotonic() - started
    workers.stop()
    counts = Counter(lines(written))
    scored = ledger.scored_images(1, KIND)
    print(f"the other {rest} with {killed} workers killed: {seconds:.0f} s, {rest / seconds:.2f} images/s")
    # A worker killed between the ledger's acknowledgement and its own line leaves an image with a score and no line.
    twice = sum(count > 1 for count in counts.values())
    print(
        f"scored: {len(scored)} of {arguments.images}; written twice: {twice}; written, by the workers: {len(counts)}"
    )
    if len(scored) != arguments.images or twice or ledger.claims():
        sys.exit("an image was lost or scored twice")


class Noting(Holding):
    """A holding that notes in a file which images it has written to the ledger."""

    file: TextIO

    def record(self, model_version: int, images: Sequence[ImageScores], seed: int) -> list[str]:
        """Write scores, then note of which images."""
        lost = super().record(model_version, images, seed)
        self.file.writelines(f"{image.image_id}\n" for image in images if image.image_id not in lost)
        self.file.flush()
        return lost


def work_through(url: str, work: str, forward: float, stopped: Callable[[], bool]) -> int:
    """What a worker does: claim, pause as long as a forward pass takes, and have the score written behind it."""
    ledger = Ledger(url)
    held = Noting(ledger, LEASE_SECONDS, stopped)
    name = held.worker.replace("/", "_")
    with (
        open(Path(work) / "written" / name, "a", encoding="utf-8") as held.file,
        open(Path(work) / "finished" / name, "a", encoding="utf-8") as finished,
        held,
        ScoresBehind(ledger, 1, 0, held) as behind,
    ):
        for image_id in held.images(JOB):
            time.sleep(forward)
            behind.add(image_id, scores_of(image_id).scores, 5)
            finished.write(f"{image_id}\n")
            finished.flush()
    return held.recorded


def rate(written: Path, count: int, seconds: float) -> float:
    """Images a second over some seconds, from when all workers have begun."""
    while sum(bool(file.stat().st_size) for file in written.iterdir()) < count:
        time.sleep(0.1)
    begun, before = time.monotonic(), len(lines(written))
    time.sleep(seconds)
    return (len(lines(written)) - before) / (time.monotonic() - begun)


def lines(written: Path) -> list[str]:
    """The images that workers have noted, once for each time."""
    return [line for file in written.iterdir() for line in file.read_text(encoding="utf-8").split()]


def real(work: Path, images: int) -> None:
    """The time of one and of two workers for the same images, each with one thread, once all have begun."""
    studies = work / "studies"
    studies.mkdir()
    for number in range(images):
        voxels = np.random.default_rng(number).normal(100, 30, SHAPE).astype(np.float32)
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), studies / f"case_{number:02}.nii.gz")
    print(f"{images} volumes of {'x'.join(map(str, SHAPE))}, `quick`, 20 repeats, float32, one thread a worker")
    print("| workers | seconds a volume | times one |\n|---:|---:|---:|")
    took: list[float] = []
    for count in (1, 2):
        took.append(statistics.median(one_round(work / f"{count}-{turn}", studies, images, count) for turn in range(2)))
        print(f"| {count} | {took[-1]:.2f} | {took[0] / took[-1]:.2f} |", flush=True)


def one_round(folder: Path, studies: Path, images: int, count: int) -> float:
    """Seconds a volume with so many workers, once all of them have begun."""
    conf = {
        "labels": "hippocampus",
        "device": "cpu",
        "precision": "float32",
        "project_dir": str(folder),
        "repeats": "20",
    }
    project = open_project("app", str(studies), {**conf, "racing": "false"})
    project.ledger.sync_images([file.name.removesuffix(".nii.gz") for file in studies.iterdir()], 0)
    torch.manual_seed(0)
    publish_model(project, build_network(project.recipe.network, classes=2).state_dict(), {}, [])
    write_place(project, {**conf, "racing": "false"})
    command = [sys.executable, "-m", "activelabel", "work", "--project", str(folder), "--device", "cpu", "--until-done"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    running = [subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) for _ in range(count)]
    times: dict[int, float] = {}
    while any(process.poll() is None for process in running):
        times.setdefault(len(project.ledger.scored_images(1, KIND)), time.monotonic())
        time.sleep(0.05)
    times.setdefault(images, time.monotonic())
    first = 2 * count  # both have begun by then
    begun = min(number for number in times if number >= first)
    return (times[images] - times[begun]) / (images - begun)


if __name__ == "__main__":
    main()
