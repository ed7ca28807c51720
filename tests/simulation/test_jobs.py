"""Runs in processes of their own: the end of one from outside is one line."""

import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from simulated_runs import blob_experiment

from activelabel.errors import NotReadyError
from activelabel.simulation.experiment import open_experiment
from activelabel.simulation.jobs import run_all, threads_of_each
from activelabel.simulation.local_app import LocalApp


def test_a_process_that_is_killed_is_one_line(tmp_path: Path) -> None:
    """The kernel kills processes when memory runs out. Images are empty files, so that each run ends at once."""
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
        for index in range(12):
            (tmp_path / name / f"case_{index}.nii.gz").touch()
    experiment = replace(blob_experiment(tmp_path / "images", tmp_path / "labels", "random_volumes"), seeds=500)
    open_experiment(experiment, tmp_path / "out")
    begun = []

    def kill(arm: str, seed: int, measured: int) -> None:
        begun.append((arm, seed, measured))
        for process in multiprocessing.active_children():
            process.kill()

    with pytest.raises(NotReadyError, match="the process of a run was ended from outside") as ended:
        run_all(experiment, tmp_path / "out", 1, kill, LocalApp)
    assert "\n" not in str(ended.value)
    assert begun[0] == ("random_volumes", 0, 0)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(("allowed", "jobs", "each"), [(1, 1, 1), (1, 4, 1), (6, 1, 6), (6, 4, 1), (6, 3, 2)])
def test_processes_share_the_threads_that_this_one_may_have(allowed: int, jobs: int, each: int) -> None:
    """The limit is `OMP_NUM_THREADS` or torch's own: more threads would wait for each other on busy processors."""
    before = torch.get_num_threads()
    torch.set_num_threads(allowed)
    try:
        assert threads_of_each(jobs) == each
    finally:
        torch.set_num_threads(before)
