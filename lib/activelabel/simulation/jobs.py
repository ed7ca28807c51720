"""The runs of an experiment, several at once, each in a process of its own."""

import multiprocessing
import shutil
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import torch

from activelabel.errors import NotReadyError
from activelabel.project.project import PREPARED
from activelabel.simulation.experiment import Experiment
from activelabel.simulation.playing import Advanced, OpenApp
from activelabel.simulation.run_process import LOOK_SECONDS, Progress, begin, play


def run_all(experiment: Experiment, out: Path, jobs: int, advanced: Advanced, open_app: OpenApp) -> None:
    """Play all runs, `jobs` at once, and report their progress.

    Each process gets its share of the threads of this process. When one run fails, the others are stopped where they
    are.

    Raises:
        ActiveLabelError: the error of the first run that failed; or the line that its process was ended from outside.
    """
    context = multiprocessing.get_context("spawn")
    queue: SimpleQueue[Progress] = context.SimpleQueue()  # sends at once, not from a thread of its own
    begin_with = (queue, jobs, threads_of_each(jobs))
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=begin, initargs=begin_with) as pool:
        waiting = {pool.submit(play, experiment, arm, seed, out, open_app) for arm, seed in experiment.runs}
        try:
            while waiting:
                done, waiting = wait(waiting, LOOK_SECONDS, FIRST_COMPLETED)
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


def _hand_on(queue: "SimpleQueue[Progress]", advanced: Advanced) -> None:
    while not queue.empty():
        advanced(*queue.get())
