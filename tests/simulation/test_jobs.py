"""Runs in processes of their own: what ends one of these from outside is said in one line."""

import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest
from simulated_runs import blob_experiment

from activelabel.errors import NotReadyError
from activelabel.simulation.experiment import open_experiment
from activelabel.simulation.jobs import run_all


def test_a_process_that_is_killed_is_one_line(tmp_path: Path) -> None:
    """As the kernel does when memory runs out. Images are empty files, so that each run ends at once."""
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
        run_all(experiment, tmp_path / "out", 1, kill)
    assert "\n" not in str(ended.value)
    assert begun[0] == ("random_volumes", 0, 0)
    assert not multiprocessing.active_children()
