"""The folder of a training run: one run of a project at a time, and what a killed one left is cleared away."""

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

logger = logging.getLogger(__name__)

UNFINISHED = "unfinished"


@contextmanager
def exclusive_run(runs_folder: Path) -> Iterator[Path]:
    """An empty folder for a run, alone: if another process is training for this project, wait until it ends.

    The lock goes with the process, however it ends, so whatever lies in the folder of unfinished runs is of one that
    was killed or failed, and is removed. The folder of this run stays if it fails, until the next begins.
    """
    unfinished = runs_folder / UNFINISHED
    unfinished.mkdir(parents=True, exist_ok=True)
    with (runs_folder / "lock").open("w") as lock:
        _wait_for(lock.fileno())
        for stale in unfinished.iterdir():
            logger.warning("removing %s, which an interrupted training left", stale.name)
            shutil.rmtree(stale) if stale.is_dir() else stale.unlink()
        folder = unfinished / f"run_{datetime.now():%Y%m%d_%H%M%S}_{os.getpid()}"
        folder.mkdir()
        yield folder


def finish_run(folder: Path, model_version: int) -> None:
    """Move a run that published a model to the finished ones, without its weights: those that count are published."""
    for weights in folder.rglob("*.pt"):
        weights.unlink()
    folder.rename(folder.parent.parent / f"{folder.name}_model_{model_version}")


def _wait_for(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        logger.info("another training of this project is running: waiting until it ends")
        fcntl.flock(descriptor, fcntl.LOCK_EX)
