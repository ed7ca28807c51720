"""What an annotator waits for when they save a label: the request, sent by the host's own client, to two servers.

    python -m benchmarks.ledger.saving_over_http [--images 300] [--repeats 12] [--shape 35x50x35]

One is the host with an app of its own parts alone (no model, its `LocalDatastore`, its strategy `random`), the other
the same host with this package's app. Both are started by `monailabel start_server`, on as many images, and take turns.
Each turn asks for a case, which is not timed, and sends the same label of it as finished.

Processor time is the server's, of all its threads: until the answer, and until a second later, since both servers also
work after they have answered.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
import requests
from monailabel.client import MONAILabelClient

from benchmarks.faults.server import free_port, wait_for
from benchmarks.ledger.beside_host import SHAPE, Shape, linked_studies, shape_of, write_volume
from benchmarks.machine import cpu_name

ROOT = Path(__file__).parents[2]
AFTER_SECONDS = 1.0
HOST_APP = """
from monailabel.interfaces.app import MONAILabelApp
from monailabel.tasks.activelearning.random import Random


class Plain(MONAILabelApp):
    def init_strategies(self):
        return {"random": Random()}
"""
MEASURES = ("the request, wall", "the server until its answer, processor", "the server until a second after, processor")
Times = tuple[float, ...]
"""Milliseconds of each of the measures."""


class Server:
    """A server on a studies folder, and a client of it."""

    def __init__(self, app: Path, studies: Path, log: Path, conf: Mapping[str, str]) -> None:
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        place = ["--host", "127.0.0.1", "--port", str(port), "--app", str(app), "--studies", str(studies)]
        options = [part for key, value in conf.items() for part in ("--conf", key, value)]
        command = [sys.executable, "-m", "monailabel.main", "start_server", *place, *options]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "lib"), "OMP_NUM_THREADS": "1"}
        with log.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        wait_for(self.answers, f"the server to answer, see {log}")

    def answers(self) -> bool:
        """Whether it answers.

        Raises:
            RuntimeError: it ended instead.
        """
        if self.process.poll() is not None:
            raise RuntimeError(f"the server ended with {self.process.returncode}")
        try:
            return requests.get(f"{self.address}/info/", timeout=60).ok
        except requests.RequestException:
            return False

    def save(self, annotator: str, label: Path) -> Times:
        """Ask for a case, send the label of it, and return what that took."""
        client = MONAILabelClient(self.address, client_id=annotator)
        image_id = client.next_sample("random", {})["id"]
        time.sleep(AFTER_SECONDS)
        processor, began = self.processor_seconds(), time.perf_counter()
        client.save_label(image_id, str(label), "final", {"finished": True})
        answered = time.perf_counter()
        until_answer = self.processor_seconds()
        time.sleep(AFTER_SECONDS)
        seconds = answered - began, until_answer - processor, self.processor_seconds() - processor
        return tuple(1000 * one for one in seconds)

    def processor_seconds(self) -> float:
        """The processor time of all its threads, also of ended ones, by Linux's clock of another process."""
        return time.clock_gettime(~self.process.pid << 3 | 2)  # psutil counts in steps of 10 ms

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument("--shape", type=shape_of, default=SHAPE, help="of each volume, as 512x512x100")
    arguments = parser.parse_args()
    if arguments.images <= arguments.repeats + 1:
        parser.error(f"--images: expected more than {arguments.repeats + 1}, got {arguments.images}")
    print(f"{cpu_name()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at start")
    print(f"Python {platform.python_version()}, MONAI Label {version('monailabel')}")
    print(f"{arguments.images} images of {arguments.shape} voxels")
    print(f"{arguments.repeats} saves timed after one that is not")
    with tempfile.TemporaryDirectory() as work:
        print_table(measured(Path(work), arguments.images, arguments.repeats, arguments.shape))


def measured(work: Path, images: int, repeats: int, shape: Shape) -> dict[str, list[Times]]:
    """The times of each save, by server."""
    image_ids = [f"case_{number:06}" for number in range(images)]
    label = write_volume(work / "label.nii.gz", np.uint8, shape)
    app = work / "app"
    app.mkdir()
    (app / "main.py").write_text(HOST_APP, encoding="utf-8")
    apps: dict[str, tuple[Path, dict[str, str]]] = {
        "host": (app, {}),
        "ours": (ROOT / "apps" / "activelabel", {"labels": "liver", "device": "cpu", "autopilot": "false"}),
    }
    servers = {
        name: Server(path, linked_studies(work / name, image_ids, shape), work / f"{name}.log", conf)
        for name, (path, conf) in apps.items()
    }
    took: dict[str, list[Times]] = {name: [] for name in servers}
    try:
        for turn in range(repeats + 1):
            for name, server in servers.items():
                times = server.save(f"reader {turn}", label)
                if turn > 0:
                    took[name].append(times)
    finally:
        for server in servers.values():
            server.stop()
    return took


def print_table(took: Mapping[str, list[Times]]) -> None:
    """Print a row for each measure: median and maximum of each server, and the ratio of the medians."""
    print(f"| median (largest), ms | {' | '.join(took)} | ours / host |")
    print(f"|---|{'---:|' * len(took)}---:|")
    for place, measure in enumerate(MEASURES):
        times = {name: [one[place] for one in all_times] for name, all_times in took.items()}
        medians = {name: statistics.median(values) for name, values in times.items()}
        cells = [f"{medians[name]:.1f} ({max(values):.1f})" for name, values in times.items()]
        print(f"| {measure} | {' | '.join(cells)} | {medians['ours'] / medians['host']:.1f} |")


if __name__ == "__main__":
    main()
