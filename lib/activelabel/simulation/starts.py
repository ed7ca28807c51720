"""Shared starts of runs with one seed, made once: the start set, its labels, and the first model with its metrics.

A start depends on the seed, the recipe and the start strategy, and on nothing that the arm's strategy decides.
"""

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock

from activelabel import __version__
from activelabel.simulation.arms import Arm, recipe_content

_KEPT = ("project", "queries.parquet", "models.parquet", "metrics.parquet")


def start_folder(out: Path, arm: Arm, seed: int) -> Path:
    """The folder with the shared start of a run and of all runs that begin like it."""
    decides = {
        "version": __version__,
        "recipe": recipe_content(arm),
        **{key: value for key, value in asdict(arm).items() if key in ("start", "start_strategy")},
    }
    return out / "starts" / hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:12] / str(seed)


def keep_start(run: Path, kept: Path) -> None:
    """Copy a run to `kept` unless a copy is there; its first model must be measured, and no query may follow it."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(kept.with_suffix(".lock")):  # several runs may reach the same start at once
        if not kept.is_dir():
            copy = kept.with_suffix(".new")
            _remove(copy)
            copy.mkdir()
            for name in _KEPT:
                _copy(run / name, copy / name)
            copy.rename(kept)


def begin_with_start(kept: Path, run: Path) -> None:
    """Copy the kept start, if there is one, into a run that has not begun; remove what an interrupted copy left."""
    if kept.is_dir():
        for name in _KEPT:
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
