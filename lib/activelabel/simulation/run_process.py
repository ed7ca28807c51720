"""What a process that plays runs of an experiment does. It imports the rest when it has begun, MONAI in less time."""

import logging
import os
import sys
import threading
import time
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import TYPE_CHECKING

from activelabel.backports import parent_lives
from activelabel.errors import ActiveLabelError
from activelabel.lean_imports import import_monai_lean
from activelabel.quick_imports import no_collections
from activelabel.simulation.folder_names import run_folder

if TYPE_CHECKING:
    from activelabel.simulation.arms import Arm
    from activelabel.simulation.experiment import Experiment
    from activelabel.simulation.playing import OpenApp

Progress = tuple[str, int, int]
"""Arm, seed, and the number of its models that are measured."""

LOOK_SECONDS = 0.5
_progress: "SimpleQueue[Progress] | None" = None


def begin(queue: "SimpleQueue[Progress]", jobs: int, threads: int) -> None:
    """Prepare this process, one of `jobs`: where its runs report to, its threads, and that it ends with its parent."""
    global _progress
    import_monai_lean()  # before anything imports MONAI
    with no_collections():
        import torch

        import activelabel.simulation.playing  # noqa: F401  # what a run needs, which `play` would import
        from activelabel.prediction.devices.freed_memory import share_memory

    _progress = queue
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    torch.set_num_threads(threads)
    share_memory(jobs)
    logging.basicConfig(level=logging.INFO)


def _end_with(parent: int) -> None:
    """End this process soon after its parent ends, for whatever reason: nobody would see further progress."""
    while parent_lives(parent):
        time.sleep(LOOK_SECONDS)
    os._exit(1)


def play(experiment: "Experiment", arm: "Arm", seed: int, out: Path, open_app: "OpenApp") -> None:
    """Play one run in this process.

    Raises:
        ActiveLabelError: as `run_in_process`, with the arm and the seed.
    """
    from activelabel.simulation.playing import run_in_process

    queue = _progress
    assert queue is not None
    _print_into(run_folder(out, arm.name, seed) / "log.txt")
    try:
        run_in_process(experiment, arm, seed, out, lambda *progress: queue.put(progress), open_app)
    except ActiveLabelError as error:
        raise type(error)(f"{arm.name}, seed {seed}: {error}") from error


def _print_into(log: Path) -> None:
    """Append everything that this process prints, the host's own lines included, to a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(file.fileno(), stream.fileno())
