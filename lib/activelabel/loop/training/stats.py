"""The statistics of a training for clients: the host's keys, in a file that is written atomically."""

import json
import logging
import math
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import cast

from activelabel.data.files.writing import write_atomically
from activelabel.project.models.standing import Standing
from activelabel.training.engine.progress import Stats

logger = logging.getLogger(__name__)

_NO_TIME = "0:00:00"


def read_stats(file: Path) -> Stats:
    """The statistics written last; empty if there is no file, or if it is damaged, which is logged."""
    if not file.is_file():
        return {}
    try:
        stats = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        logger.warning("the statistics of the last training in %s cannot be read: %s", file.name, error)
        return {}
    return cast(Stats, stats) if isinstance(stats, dict) else {}


def stats_revision(file: Path) -> Hashable:
    """A value that changes whenever the file is written; None without a file."""
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def shown_stats(stats: Stats) -> Stats:
    """The statistics with None for each number that JSON cannot represent."""
    return cast(Stats, _finite(stats))


def write_stats(file: Path, stats: Stats) -> None:
    """Write `stats` atomically."""
    write_atomically(file, json.dumps(shown_stats(stats), indent=1).encode())


def with_models(stats: Stats, standing: Standing) -> Stats:
    """The statistics of a training with the model in use, the newest one, and a sentence on both.

    Clients show `best_metric` as the quality of the model. If the trained model is not in use, `best_metric` is the
    Dice of the model in use; `eval` still describes the training.
    """
    if standing.in_use is None or standing.newest is None:
        return stats
    shown = {
        **stats,
        "model": standing.as_json(standing.in_use),
        "newest_model": standing.as_json(standing.newest),
        "standing": str(standing),
    }
    measured = standing.measurement_of(standing.in_use.version)
    if "total_time" in stats and standing.newest != standing.in_use and measured is not None:
        shown["best_metric"] = measured.dice
    return shown


def for_bars(stats: Stats) -> Stats:
    """The statistics in a form from which the host's clients can draw progress bars.

    Both clients read a missing `total_time` as a running training, and a missing epoch as the only one: before any
    training they show 100 %. A `best_metric` of None, or of -1 before the first validation, is no accuracy: Slicer's
    module fails at None and shows -1.
    """
    begun = stats if "epoch" in stats else {"epoch": 0, "total_epochs": 1, "total_time": _NO_TIME, **stats}
    best = begun.get("best_metric")
    judged = isinstance(best, int | float) and best >= 0
    return begun if judged else {key: value for key, value in begun.items() if key != "best_metric"}


def _finite(value: object) -> object:
    """`value` with None for each number that is not finite, such as the Dice of an absent class."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
