"""Small experiments on blobs, and the comparison of two runs that must be equal."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from training_study import TINY

from activelabel.simulation.arms import plan_arms
from activelabel.simulation.cases import find_cases
from activelabel.simulation.experiment import Experiment, open_experiment
from activelabel.simulation.folder_names import run_folder
from activelabel.simulation.local_app import LocalApp
from activelabel.simulation.playing import run_in_process
from activelabel.training.checkpoints import open_model

ROUNDS, START, QUERY_SIZE, SEED = 2, 3, 2, 0
LABELS = "ball"


def blob_experiment(
    images: Path, labels: Path, *strategies: str, query_size: int = QUERY_SIZE, slices: int = 4, **conf: str
) -> Experiment:
    """Describe an experiment of two rounds on the cases of these folders, with three test cases set aside."""
    arms = plan_arms(str(TINY), strategies, START, query_size, slices, ROUNDS)
    cases = find_cases(images, labels, test_cases=3, smallest_pool=1)
    # One precision on every processor, so that two experiments are the same.
    return Experiment(arms, SEED + 1, cases, {"labels": LABELS, "device": "cpu", "precision": "float32", **conf})


def play(experiment: Experiment, out: Path, advanced: Callable[..., None] = lambda *_: None) -> None:
    """Play all runs, one after the other, in this process."""
    open_experiment(experiment, out)
    for arm, seed in experiment.runs:
        run_in_process(experiment, arm, seed, out, advanced, LocalApp)


def tables(out: Path, arm: str) -> Mapping[str, pd.DataFrame]:
    """Return the tables of a run without columns that depend on the clock or on the folder."""
    folder = run_folder(out, arm, SEED)
    read = {name: pd.read_parquet(folder / f"{name}.parquet") for name in ("queries", "metrics", "scores", "models")}
    read["models"] = read["models"].drop(columns=["training_seconds", "scoring_seconds", "sha256", "file"])
    return read


def weights(out: Path, arm: str) -> list[dict[str, Any]]:
    """Return the weights of each model of a run."""
    folder = run_folder(out, arm, SEED)
    files = pd.read_parquet(folder / "models.parquet")["file"]
    return [open_model(folder / "project" / "models" / file)[0].state_dict() for file in files]


def assert_same_run(first: Path, second: Path, arm: str) -> None:
    """Compare queries, metrics, scores and weights number by number."""
    ours, theirs = tables(first, arm), tables(second, arm)
    for name in ours:
        pd.testing.assert_frame_equal(ours[name], theirs[name], obj=f"{arm}: {name}", check_exact=True)
    for before, after in zip(weights(first, arm), weights(second, arm), strict=True):
        assert before.keys() == after.keys()
        assert all(np.array_equal(before[key], after[key]) for key in before)
