"""The runs of an experiment, several at once, each in a process of its own."""

import logging
import multiprocessing
import os
import shutil
import sys
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import torch

from activelabel.backports import parent_lives
from activelabel.errors import ActiveLabelError, NotReadyError
from activelabel.project.project import PREPARED
from activelabel.simulation.arms import Arm
from activelabel.simulation.experiment import Experiment
from activelabel.simulation.folder_names import run_folder
from activelabel.simulation.playing import Advanced, OpenApp, run_in_process

Progress = tuple[str, int, int]
"""Arm, seed, and the number of its models that are measured."""

_LOOK_SECONDS = 0.5
_progress: "SimpleQueue[Progress] | None" = None


def run_all(experiment: Experiment, out: Path, jobs: int, advanced: Advanced, open_app: OpenApp) -> None:
    """Play all runs, `jobs` at once, and report their progress.

    Each process gets its share of the threads of this process. When one run fails, the others are stopped where they
    are.

    Raises:
        ActiveLabelError: the error of the first run that failed; or the line that its process was ended from outside.
    """
    context = multiprocessing.get_context("spawn")
    queue: SimpleQueue[Progress] = context.SimpleQueue()  # sends at once, not from a thread of its own
    begin_with = (queue, threads_of_each(jobs))
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=begin_with) as pool:
        waiting = {pool.submit(_run, experiment, arm, seed, out, open_app) for arm, seed in experiment.runs}
        try:
            while waiting:
                done, waiting = wait(waiting, _LOOK_SECONDS, FIRST_COMPLETED)
                _hand_on(queue, advanced)
                for future in done:
                    future.result()
            _hand_on(queue, advanced)
            shutil.rmtree(out / PREPARED, ignore_errors=True)  # made for the runs together, which have ended
        except BaseException as error:
            for process in multiprocessing.active_children():
                process.terminate()
            pool.shutdown(cancel_futures=True)  # waits for the pool's own thread, which alone reaps them
            if isinstance(error, BrokenProcessPool):
                raise NotReadyError(
                    "the process of a run was ended from outside, most often for want of memory: lower --jobs, or free "
                    "some, and start the same command again; each run goes on where it was"
                ) from error
            raise


def threads_of_each(jobs: int) -> int:
    """The number of threads for each of `jobs` processes: its share of the processors, or of `OMP_NUM_THREADS`."""
    return max(1, torch.get_num_threads() // jobs)


def _begin(queue: "SimpleQueue[Progress]", threads: int) -> None:
    global _progress
    _progress = queue
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    torch.set_num_threads(threads)
    logging.basicConfig(level=logging.INFO)


def _end_with(parent: int) -> None:
    """End this process soon after its parent ends, for whatever reason: nobody would see further progress."""
    while parent_lives(parent):
        time.sleep(_LOOK_SECONDS)
    os._exit(1)


def _run(experiment: Experiment, arm: Arm, seed: int, out: Path, open_app: OpenApp) -> None:
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


def _hand_on(queue: "SimpleQueue[Progress]", advanced: Advanced) -> None:
    while not queue.empty():
        advanced(*queue.get())
