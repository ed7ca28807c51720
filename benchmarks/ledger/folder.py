"""A real server on a folder of 10^4, 10^5 and 10^6 image files: start, memory, the first questions.

    python -m benchmarks.ledger.folder [--images 10000 100000 1000000] [--starts 2] [--listing]

The files are hard links of tiny volumes, 10,000 in a sub-folder. The server is started as by `activelabel start`, with
the autopilot off, and is ready when it answers `GET /info/`. *Memory* is the resident one of the server's process, now
and the largest of twenty looks a second, its modules included, which an empty folder shows. With `--listing`, somebody
asks for the host's listing (`GET /datastore/?output=all`) in the end.
"""

import argparse
import math
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel
import numpy as np
import psutil
import requests

from benchmarks.machine import cpu_name

ROOT = Path(__file__).parents[2]
IN_FOLDER, OF_ONE_FILE = 10_000, 50_000
"""How many files lie in one folder, and how many links one file has (ext4 allows 65,000)."""
ASKED = 40
"""How often each question is asked; a next sample by another reader each time."""


def main() -> None:
    """Read the command line, and print the conditions and the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--starts", type=int, default=2)
    parser.add_argument("--listing", action="store_true")
    arguments = parser.parse_args()
    load = f"load {os.getloadavg()[0]:.1f} at start"
    print(f"{cpu_name()}, {os.cpu_count()} cores, {load}, Python {platform.python_version()}")
    asked = ["info", "next sample", *(["listing"] if arguments.listing else [])]
    print(f"| files | start | ready, s of processor / wall | MB, largest | {', '.join(asked)}: first, then, p95, ms |")
    print("|---:|---:|---:|---:|---:|")
    for images in (1, *arguments.images):
        with tempfile.TemporaryDirectory() as work:
            studies = linked_studies(Path(work), images)
            for start in range(1, arguments.starts + 1):
                print(f"| {images} | {start} | {measured(studies, asked)} |", flush=True)


def linked_studies(work: Path, images: int) -> Path:
    """A folder of images in sub-folders, all links to a few files beside it."""
    voxels = np.zeros((16, 16, 8), np.int16)
    voxels[4:12, 4:12, 2:6] = 100
    for number in range(images):
        if not number % OF_ONE_FILE:
            source = work / f"{number}.nii.gz"
            nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), source)
        folder = work / "studies" / f"part{number // IN_FOLDER:03}"
        if not number % IN_FOLDER:
            folder.mkdir(parents=True)
        os.link(source, folder / f"case_{number:07}.nii.gz")
    return work / "studies"


def measured(studies: Path, asked: list[str]) -> str:
    """The cells of one start."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = ["--studies", str(studies), "--host", "127.0.0.1", "--port", str(port)]
    options = ["--app", str(ROOT / "apps" / "activelabel"), *places, "--conf", "labels", "ball"]
    command = [sys.executable, "-m", "activelabel.server.host_main", "start_server", *options]
    began, address = time.perf_counter(), f"http://127.0.0.1:{port}"
    quiet = subprocess.DEVNULL
    server = psutil.Popen([*command, "--conf", "autopilot", "false"], stdout=quiet, stderr=quiet)
    questions: dict[str, Callable[[int], requests.Response]] = {
        "info": lambda _: requests.get(f"{address}/info/", timeout=600),
        "next sample": lambda turn: requests.post(
            f"{address}/activelearning/random?client_id=reader{turn}", json={}, timeout=600
        ),
        "listing": lambda _: requests.get(f"{address}/datastore/?output=all", timeout=600),
    }
    with largest_memory(server) as largest:
        while not answers(server, address):
            time.sleep(0.1)
        times = server.cpu_times()
        ready = f"{times.user + times.system:.1f} / {time.perf_counter() - began:.1f}"
        took = [milliseconds(questions[name]) for name in asked]
        now = server.memory_info().rss / 1e6
        server.send_signal(signal.SIGINT)
        server.wait(600)
    return f"{ready} | {now:.0f}, {largest[0] / 1e6:.0f} | {'; '.join(took)}"


def answers(server: psutil.Popen, address: str) -> bool:
    """Whether the server answers already.

    Raises:
        RuntimeError: it has ended.
    """
    if server.poll() is not None:
        raise RuntimeError(f"the server ended with {server.returncode}")
    try:
        return requests.get(f"{address}/info/", timeout=600).ok
    except requests.ConnectionError:
        return False


def milliseconds(question: Callable[[int], requests.Response]) -> str:
    """How long the first answer took, the median of the others, and the 95th percentile of all."""
    took = []
    for turn in range(ASKED):
        began = time.perf_counter()
        question(turn).raise_for_status()
        took.append(1000 * (time.perf_counter() - began))
    largest = sorted(took)[math.ceil(0.95 * len(took)) - 1]
    return f"{took[0]:.0f}, {statistics.median(took[1:]):.0f}, {largest:.0f}"


@contextmanager
def largest_memory(server: psutil.Popen) -> Iterator[list[int]]:
    """The largest resident memory so far of a process, in bytes."""
    largest, ended = [0], threading.Event()

    def look() -> None:
        while not ended.wait(0.05) and server.is_running():
            try:
                largest[0] = max(largest[0], server.memory_info().rss)
            except psutil.NoSuchProcess:
                return

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield largest
    finally:
        ended.set()
        looking.join()


if __name__ == "__main__":
    main()
