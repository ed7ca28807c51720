"""What runs of one seed have in common is made once: the start set, its labels, and the first model with its metrics.

All of it hangs on the seed, the recipe and who asks first, and on nothing that a strategy decides.
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
    """Where an experiment keeps the start of a run, and of all that begin as it does."""
    decides = {
        "version": __version__,
        "recipe": recipe_content(arm),
        **{key: value for key, value in asdict(arm).items() if key in ("start", "start_strategy")},
    }
    return out / "starts" / hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:12] / str(seed)


def keep_start(run: Path, kept: Path) -> None:
    """Copy a run whose first model is measured, and that has done nothing since, unless that is kept already."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(kept.with_suffix(".lock")):  # runs at once come to the same start
        if not kept.is_dir():
            copy = kept.with_suffix(".new")
            _remove(copy)
            copy.mkdir()
            for name in _KEPT:
                _copy(run / name, copy / name)
            copy.rename(kept)


def begin_with_start(kept: Path, run: Path) -> None:
    """Begin a run that has not begun with what is kept, if anything; what a copy that was cut short has left goes."""
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
