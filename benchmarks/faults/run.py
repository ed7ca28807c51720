"""Kills, a database that goes away, a full disk and a clock set back, while ten annotators work.

    python -m benchmarks.faults.run --kills 100 --database sqlite --out faults.jsonl
    python -m benchmarks.faults.run --kills 100 --database postgresql --restarts 5 --out faults.jsonl
    python -m benchmarks.faults.run --kills 0 --disk --clock --out faults.jsonl
    python -m benchmarks.faults.run --table faults.jsonl

Each run is a new project of tiny volumes. Server, training, proxy training and scoring are killed (SIGKILL), the ones
that are cheap to kill more often, at a random moment of what they do. All that was acknowledged, voxel by voxel, all
files of labels and models, and all scores are looked for after each fault. `--disk` puts the project on a small file
system that is filled, which takes root; `--clock` takes a C compiler.
"""

import argparse
import hashlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import requests

from activelabel.names import ScoreKind
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger
from activelabel.store.records.models import ModelVersion
from benchmarks.faults.annotators import Annotators, KeptFiles, Record, lost_labels, make_studies
from benchmarks.faults.server import CHILDREN, PostgreSQL, Server, wait_for

CASES = 400
RECIPE = """
name = "tiny"
title = "Every step, as small as it can be"
source = "ours"
[network]
channels = [4, 8]
strides = [2]
residual_units = 0
dropout = 0.2
[training]
epochs = 4
batch_size = 2
patch_size = [16, 16, 16]
patches_per_volume = 1
learning_rate = 1e-2
augmentation = "none"
validation_cases = 2
[proxy]
epochs = 2
validate_every = 2
repeats = 2
batch_size = 2
patch_size = [16, 16, 16]
patches_per_volume = 1
cold_start = "none"
pretrained_weights = false
[prediction]
repeats = 3
window_size = [16, 16, 16]
window_overlap = 0.25
[query]
strategy = "variance"
start = 4
size = 4
"""
CONF: dict[str, object] = {"labels": "ball", "device": "cpu", "modality": "CT", "finished_by": "saving"}
CONF |= {"retrain_after": 8}
LONGEST_DELAY_SECONDS = 8.0
WEIGHTS = {"training": 10, "scoring": 7, "server": 2, "proxy": 1}
"""Of 20 kills. After one of the server all wait until it has started again, and a proxy training waits for its turn."""
ALL_FILES_EVERY = 10
"""After so many faults each file is read again; else those that are new, or of another size or time than they were."""
DISK_MEGABYTES = 48


@dataclass
class Row:
    """What one kind of fault did on one database."""

    fault: str
    database: str
    faults: int = 0
    saved: int = 0
    samples: int = 0
    lost: int = 0
    doubles: int = 0
    answers: dict[str, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)


class Project:
    """A running server with annotators, and a witness of all that was there once."""

    def __init__(self, folder: Path, database: str, url: str, annotators: int, seed: int, **more: Any) -> None:
        """Start it in `folder`; `more` are `environment` and `project_dir`."""
        self.database = database
        self.studies = folder / "studies"
        make_studies(self.studies, CASES)
        recipe = folder / "tiny.toml"
        recipe.write_text(RECIPE)
        self.folder = Path(more.get("project_dir") or self.studies / "activelabel")
        conf = {**CONF, "recipe": recipe, "project_dir": self.folder}
        environment = {**({"ACTIVELABEL_DATABASE_URL": url} if url else {}), **more.get("environment", {})}
        self.server = Server(self.studies, conf, folder / "server.log", environment)
        self.server.start()
        self.ledger = Ledger(url or sqlite_url(self.folder / "ledger.sqlite"))
        self.record = Record()
        self.annotators = Annotators(self.server.address, annotators, folder / "drawings", self.record, seed)
        self._models: dict[int, str] = {}
        self._scored: set[tuple[int, str]] = set()
        self._files = KeptFiles()
        self._looked = 0
        self.annotators.start()

    def lost(self, *, whole: bool = False) -> list[str]:
        """What is not there any more, or has become another: labels, models, scores."""
        self._looked += 1
        if whole or self._looked % ALL_FILES_EVERY == 0:
            self._files.forget()
        lost = lost_labels(self.record, self.ledger, self.folder / "labels", self._files)
        models = {model.version: model for model in self.ledger.models()}
        for version, sha256 in self._models.items():
            file = self.folder / "models" / models[version].file if version in models else None
            if file is None or not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != sha256:
                lost.append(f"model {version}")
        scored = {
            (version, image)
            for version in models
            for image in self.ledger.scored_images(version, ScoreKind("variance"))
        }
        lost += [f"the score of {image} by model {version}" for version, image in self._scored - scored]
        self._models = {version: model.sha256 for version, model in models.items()}
        self._scored = scored
        return lost

    def end(self) -> None:
        """Stop the annotators, then the server."""
        self.annotators.stop()
        self.server.end()


def row_of(fault: str, project: Project, act: Callable[[Row], None]) -> Row:
    """Let `act` break things, and say what was acknowledged meanwhile, and what of it is lost."""
    row, record = Row(fault, project.database), project.record
    answers, doubles = record.answers.copy(), len(record.doubles)
    act(row)
    lost = project.lost()
    for line in [*lost, *record.doubles[doubles:]]:
        print(f"{fault}: LOST OR DOUBLE: {line}", flush=True)
    happened = record.answers - answers
    row.saved, row.samples = happened.pop("saved", 0), happened.pop("sample", 0)
    row.lost, row.doubles, row.answers = len(lost), len(record.doubles) - doubles, dict(happened)
    print(json.dumps(row.__dict__), flush=True)
    return row


class Killer:
    """Kills what a project's server runs, and the server, each at a random moment of its life."""

    def __init__(self, project: Project, random: np.random.Generator) -> None:
        self._project, self._random = project, random
        self._lives = dict.fromkeys(CHILDREN, LONGEST_DELAY_SECONDS)

    def kill(self, target: str) -> Callable[[Row], None]:
        """Kill `target` once. One that ended before was not killed, and tells how long such a life is."""

        def act(row: Row) -> None:
            if target == "proxy":
                self._ask_for_proxy()
            self._keep_busy()
            began = self._kill_server() if target == "server" else self._kill_child(target)
            if began is not None:
                row.faults += 1
                record = self._project.record
                wait_for(lambda: record.last_kept > began, "the next label to be kept")
                row.seconds.append(round(record.last_kept - began, 1))

        return act

    def _ask_for_proxy(self) -> None:
        server = self._project.server
        if not server.children("proxy"):
            requests.post(f"{server.address}/train/proxy?enqueue=true", json={}, timeout=60).raise_for_status()

    def _keep_busy(self) -> None:
        """As a manager would: ask for a training and a scoring where there is none, to be killed next."""
        server = self._project.server
        if not server.children("scoring"):
            self._use_unscored_model()
            requests.post(f"{server.address}/scoring/variance", json={}, timeout=60)
        if not server.children("training"):
            requests.post(f"{server.address}/train/segmentation", json={}, timeout=60)
        # 429: there is one already; whatever else they are refused for, what is killed next does not come then.

    def _use_unscored_model(self) -> None:
        """Choose the newest model where the one in use has scored all: a scoring is to have something to do."""
        ledger = self._project.ledger
        in_use, newest = ledger.model_in_use(), max(model.version for model in task_models(ledger))
        if in_use is not None and not ledger.unscored(in_use.version, ScoreKind("variance")):
            ledger.use_model(newest, "benchmark")

    def _kill_server(self) -> float:
        time.sleep(self._random.uniform(0, LONGEST_DELAY_SECONDS))
        began = time.monotonic()
        self._project.server.kill()
        self._project.server.start()
        return began

    def _kill_child(self, target: str) -> float | None:
        """When it was killed. Late moments are drawn more often than early ones, at which it only starts to work."""
        server = self._project.server

        def runs() -> bool:
            if not server.children(target):
                self._keep_busy()  # The one that ran a moment ago has ended.
            return bool(server.children(target))

        wait_for(runs, f"{target} to run")
        victims = server.children(target)
        born = min(victim.create_time() for victim in victims)
        moment = self._lives[target] * float(self._random.uniform()) ** 0.5
        psutil.wait_procs(victims, timeout=max(0.0, moment - (time.time() - born)))
        running = [victim for victim in victims if victim.is_running()]
        if not running:
            self._lives[target] = time.time() - born
            return None
        if moment > 0.9 * self._lives[target]:
            self._lives[target] *= 1.2  # It lives longer than those before.
        for victim in running:
            victim.kill()
        psutil.wait_procs(running, timeout=60)
        return time.monotonic()


def task_models(ledger: Ledger) -> list[ModelVersion]:
    """The models that segment, of all there are."""
    return [model for model in ledger.models() if model.kind == "task"]


def restart_postgresql(project: Project, database: PostgreSQL, random: np.random.Generator) -> Callable[[Row], None]:
    """SIGKILL for the database server; it is away for some seconds."""

    def act(row: Row) -> None:
        time.sleep(random.uniform(0, LONGEST_DELAY_SECONDS))
        began = time.monotonic()
        database.kill()
        time.sleep(3)
        database.start()
        back = time.monotonic()
        row.faults += 1
        wait_for(lambda: project.record.last_kept > back, "a label to be kept after the restart of PostgreSQL")
        row.seconds.append(round(project.record.last_kept - began, 1))

    return act


def fill_disk(project: Project) -> Callable[[Row], None]:
    """Fill the project's file system for some seconds, then free it."""

    def act(row: Row) -> None:
        filler = project.folder / "filler"
        with filler.open("wb") as file:
            try:
                while True:
                    file.write(bytes(1 << 16))
                    file.flush()
            except OSError:
                print("the disk is full", flush=True)
        refused = project.record.answers["507"]
        wait_for(lambda: project.record.answers["507"] >= refused + 5, "five saves to be refused")
        filler.unlink()
        freed = time.monotonic()
        row.faults += 1
        wait_for(lambda: project.record.last_kept > freed, "a label to be kept after the disk was freed")
        row.seconds.append(round(project.record.last_kept - freed, 1))

    return act


def set_clock_back(project: Project, clock: Path) -> Callable[[Row], None]:
    """Set the server's clock, and its children's, back an hour, and work on for a while."""

    def act(row: Row) -> None:
        clock.write_text("-3600\n", encoding="utf-8")
        began = time.monotonic()
        row.faults += 1
        wait_for(lambda: project.record.last_kept > began, "a label to be kept after the clock was set back")
        row.seconds.append(round(project.record.last_kept - began, 1))
        models = len(project.ledger.models())
        wait_for(lambda: len(project.ledger.models()) > models, "a training after the clock was set back")
        began = time.monotonic()
        project.server.kill()  # It reads times of the future when it starts.
        project.server.start()
        row.faults += 1
        wait_for(lambda: project.record.last_kept > began, "a label to be kept after a start in the past")
        row.seconds.append(round(project.record.last_kept - began, 1))

    return act


def run(options: argparse.Namespace) -> Iterator[Row]:
    """All that was asked for, each kind of fault in turn."""
    random = np.random.default_rng(options.seed)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-")))
        database, more = None, dict[str, Any]()
        if options.database == "postgresql":
            database = PostgreSQL()
            stack.callback(database.end)
        if options.disk:
            more["project_dir"] = stack.enter_context(small_disk(folder))
        clock = folder / "clock"
        if options.clock:
            more["environment"] = clock_environment(clock)
        url = database.url if database else ""
        project = Project(folder, options.database, url, options.annotators, options.seed, **more)
        stack.callback(project.end)
        wait_for(lambda: project.ledger.model_in_use() is not None, "the first model")
        project.lost()
        for _ in range(options.restarts if database else 0):
            assert database is not None
            yield row_of("PostgreSQL killed, away 3 s", project, restart_postgresql(project, database, random))
        if options.disk:
            yield row_of("disk filled and freed", project, fill_disk(project))
        if options.clock:
            yield row_of("clock set back an hour", project, set_clock_back(project, clock))
        yield from kills(project, options, random)


def kills(project: Project, options: argparse.Namespace, random: np.random.Generator) -> Iterator[Row]:
    """One kill after the other until there are enough, or the time is over; what runs already goes first."""
    end, killed, killer = time.monotonic() + options.minutes * 60, 0, Killer(project, random)
    targets = [target for target, weight in WEIGHTS.items() for _ in range(weight)]
    order: list[str] = []
    while killed < options.kills and time.monotonic() < end:
        order = order or [targets[index] for index in random.permutation(len(targets))]
        running = [target for target in order if target in CHILDREN and project.server.children(target)]
        target = running[0] if running else order[-1]
        order.remove(target)
        row = row_of(f"kill of {target}", project, killer.kill(target))
        killed += row.faults
        yield row
    if lost := project.lost(whole=True):
        raise RuntimeError(f"after all kills, with each file read again, there are lost: {lost}")


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A small file system for the project; only root may make one."""
    place = folder / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m", "tmpfs", place], check=True)
    try:
        yield place / "project"
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def clock_environment(clock: Path) -> dict[str, str]:
    """What makes a process tell the time as many seconds off as the file says."""
    library = clock.with_suffix(".so")
    source = Path(__file__).with_name("clock.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    clock.write_text("0\n", encoding="utf-8")
    return {"LD_PRELOAD": str(library), "FAULTS_CLOCK": str(clock)}


def table(rows: Iterable[Row]) -> str:
    """All rows of a kind in one line."""
    kinds: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        kinds[row.fault, row.database].append(row)
    lines = [
        "| fault | ledger | times | saves acknowledged | cases given | lost | double leases | refused or unanswered "
        "| seconds until the next save, median (largest) |",
        "|---|---|---:|---:|---:|---:|---:|---|---:|",
    ]
    return "\n".join([*lines, *(_line(fault, database, of) for (fault, database), of in sorted(kinds.items()))])


def _line(fault: str, database: str, rows: Sequence[Row]) -> str:
    answers: dict[str, int] = defaultdict(int)
    for row in rows:
        for answer, count in row.answers.items():
            answers[answer] += count
    seconds = [value for row in rows for value in row.seconds]
    back = f"{statistics.median(seconds):.1f} ({max(seconds):.1f})" if seconds else "none"
    said = ", ".join(f"{answer}: {count}" for answer, count in sorted(answers.items())) or "none"
    numbers = [sum(getattr(row, name) for row in rows) for name in ("faults", "saved", "samples", "lost", "doubles")]
    return f"| {fault} | {database} | {' | '.join(map(str, numbers))} | {said} | {back} |"


def main() -> None:
    """Run, or print the table of earlier runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="how many processes are killed")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--restarts", type=int, default=0, help="how often PostgreSQL is killed and started again")
    parser.add_argument("--disk", action="store_true", help="fill the disk and free it")
    parser.add_argument("--clock", action="store_true", help="set the clock back an hour")
    parser.add_argument("--annotators", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=600, help="no kill begins later")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="file to which the rows are added")
    parser.add_argument("--table", type=Path, help="print the table of this file, and do nothing else")
    options = parser.parse_args()
    if options.table:
        print(table(Row(**json.loads(line)) for line in options.table.read_text(encoding="utf-8").splitlines()))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # What was started is ended, and the small disk unmounted.
    rows = []
    for row in run(options):
        rows.append(row)
        if options.out:
            with options.out.open("a") as file:
                file.write(json.dumps(row.__dict__) + os.linesep)
    print(table(rows))


if __name__ == "__main__":
    main()
