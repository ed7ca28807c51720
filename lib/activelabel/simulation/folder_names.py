"""The names in the folder of an experiment, which a report reads without all that it takes to run one."""

from pathlib import Path

EXPERIMENT_FILE = "experiment.json"
LOCK_FILE = "lock"
NOTHING_LEFT_FILE = "nothing_left.txt"
"""The file that marks a run which ended before its last round, because no case was left to ask for."""
SETTINGS_FILE = "settings.json"  # of a run; where it is, the run has begun
FULL_DATA = "full_data"
"""The name of the arm that learns from everything at once: the upper bound for the others, not a rival."""


def run_folder(out: Path, arm: str, seed: int) -> Path:
    """The folder with the tables and the project of a run."""
    return out / "runs" / arm / str(seed)
