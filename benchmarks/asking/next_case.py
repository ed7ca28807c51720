"""How long an annotator waits for the next case: `python -m benchmarks.asking.next_case http://127.0.0.1:8000`.

The server is that of `python sample-data/serve_pacs.py`, or any other with images left. Each case gets a dot as its
label after a pause in which a person would draw; what is timed is the question for the next case after that. Run it
against a server with `--conf read_ahead false` too, with another cache (`MONAI_LABEL_DICOMWEB_CACHE_PATH`).
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import psutil
import requests

from benchmarks.machine import cpu_name

PATIENCE_SECONDS = 600
NAME = "ann"


def main() -> None:
    """Read the command line, and print the conditions and the seconds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("server", help="its address")
    parser.add_argument("--cases", type=int, default=6, help="how many questions are timed (default: 6)")
    parser.add_argument("--drawing", type=float, default=45.0, help="seconds of drawing a case (default: 45)")
    arguments = parser.parse_args()
    print(f"{cpu_name()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at start")
    server = _process_at(int(arguments.server.rpartition(":")[2]))
    waited, busy = list[float](), list[float]()
    image = _ask(arguments.server)
    for _ in range(arguments.cases):
        time.sleep(arguments.drawing)
        _save(arguments.server, image)
        began, before = time.monotonic(), _processor_seconds(server)
        image = _ask(arguments.server)
        waited.append(time.monotonic() - began)
        busy.append(_processor_seconds(server) - before)
    print(f"a question: {_described(waited)} s, {_described(busy)} s of the server's processor")
    print(f"load {os.getloadavg()[0]:.1f} at the end")


def _ask(server: str) -> str:
    """Ask for a case, which there must be, and return the id of its image."""
    address = f"{server}/activelearning/random"
    answer = requests.post(address, json={"client_id": NAME}, timeout=PATIENCE_SECONDS)
    answer.raise_for_status()
    if not answer.json():
        raise SystemExit("no case is left: send more images, or ask for fewer")
    return str(answer.json()["id"])


def _save(server: str, image_id: str) -> None:
    """Save a dot in the middle as the finished label of an image."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "label.nii.gz"
        image = requests.get(f"{server}/datastore/image", {"image": image_id}, timeout=PATIENCE_SECONDS)
        image.raise_for_status()
        file.write_bytes(image.content)
        opened: Any = nibabel.load(file)
        dot = np.zeros(opened.shape, np.uint8)
        dot[tuple(size // 2 for size in dot.shape)] = 1
        nibabel.save(nibabel.Nifti1Image(dot, opened.affine), file)
        form = {"params": json.dumps({"client_id": NAME, "finished": True})}
        address = f"{server}/datastore/label?image={image_id}"
        with file.open("rb") as label:
            kept = requests.put(address, form, files={"label": label}, timeout=PATIENCE_SECONDS)
        kept.raise_for_status()


def _process_at(port: int) -> psutil.Process:
    """The server that listens at a port of this machine."""
    open_ones = psutil.net_connections("tcp")
    (pid,) = {one.pid for one in open_ones if one.laddr and (one.laddr.port, one.status) == (port, psutil.CONN_LISTEN)}
    return psutil.Process(pid)


def _processor_seconds(server: psutil.Process) -> float:
    times = server.cpu_times()
    return float(times.user + times.system)


def _described(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"


if __name__ == "__main__":
    main()
