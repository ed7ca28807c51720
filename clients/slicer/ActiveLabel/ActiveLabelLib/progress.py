"""How far the project is, of `GET /info/`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ActiveLabelLib.answers import Progress


def read_progress(info: Mapping[str, Any]) -> Progress:
    """What happens next, what runs, and the learning curve."""
    advice = info["advice"]
    unit = str(advice["unit"])
    return Progress(
        line=str(info["autopilot"]["waits_for"]),
        training=_training(info["train_stats"]),
        curve=tuple(
            (float(point[unit]), float(point["dice"]))
            for point in advice["learning_curve"]
            if point.get("dice") is not None
        ),
        unit=unit,
        advice=str(advice["sentence"]),
    )


def _training(stats: Mapping[str, Mapping[str, Any]]) -> str:
    """The running trainings, in a few words."""
    return "; ".join(
        f"{trainer}: epoch {found['epoch']} of {found['total_epochs']}"
        for trainer, found in stats.items()
        if "current_time" in found and "total_time" not in found
    )
