"""The folder of a training run: one run of a project at a time; leftovers of a killed run are removed."""

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

logger = logging.getLogger(__name__)

UNFINISHED = "unfinished"


@contextmanager
def exclusive_run(runs_folder: Path) -> Iterator[Path]:
    """An empty folder for the only run of a project: if another process trains for it, wait until that ends.

    The lock ends with its process, so everything in the folder of unfinished runs belongs to a run that was killed or
    failed, and is removed. If this run fails, its folder stays until the next run begins.
    """
    unfinished = runs_folder / UNFINISHED
    unfinished.mkdir(parents=True, exist_ok=True)
    with _taken(FileLock(runs_folder / "lock")):
        for stale in unfinished.iterdir():
            logger.warning("removing %s, which an interrupted training left", stale.name)
            shutil.rmtree(stale) if stale.is_dir() else stale.unlink()
        folder = unfinished / f"run_{datetime.now():%Y%m%d_%H%M%S}_{os.getpid()}"
        folder.mkdir()
        yield folder


def finish_run(folder: Path, model_version: int) -> None:
    """Move a run that published a model to the finished runs, without its weights: the published file has them."""
    for weights in folder.rglob("*.pt"):
        weights.unlink()
    folder.rename(folder.parent.parent / f"{folder.name}_model_{model_version}")


def _taken(lock: FileLock) -> AbstractContextManager[object]:
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        logger.info("another training of this project is running: waiting until it ends")
        return lock.acquire()
