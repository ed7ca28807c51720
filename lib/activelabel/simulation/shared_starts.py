"""Shared starts of runs with one seed, made once: the start set, its labels, and the first model with its metrics.

A start depends on the seed, the recipe and the start strategy, and on nothing that the arm's strategy decides.
"""

import hashlib
import json
import shutil
from pathlib import Path

from filelock import FileLock

from activelabel import __version__
from activelabel.simulation.arms import Arm, recipe_content

_CONTENT = ("project", "queries.parquet", "models.parquet", "metrics.parquet")
_DIGITS = 12  # of the digest's 64: enough for the few starts of an experiment, and short in a path


def start_folder(out: Path, arm: Arm, seed: int) -> Path:
    """The folder with the shared start of a run and of all runs that begin like it."""
    decisive = {
        "version": __version__,
        "recipe": recipe_content(arm),
        "start": arm.start,
        "start_strategy": arm.start_strategy,
    }
    digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
    return out / "starts" / digest[:_DIGITS] / str(seed)


def keep_start(run: Path, kept: Path) -> None:
    """Copy a run, whose first model was just measured and which has no later query, to `kept` unless it is there."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(kept.with_suffix(".lock")):  # several runs may reach the same start at once
        if not kept.is_dir():
            copy = kept.with_suffix(".new")
            _remove(copy)
            copy.mkdir()
            for name in _CONTENT:
                _copy(run / name, copy / name)
            copy.rename(kept)


def begin_with_start(kept: Path, run: Path) -> None:
    """Copy the kept start, if there is one, into a run that has not begun; remove what an interrupted copy left."""
    if kept.is_dir():
        for name in _CONTENT:
            _remove(run / name)
            _copy(kept / name, run / name)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy2(source, target)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
