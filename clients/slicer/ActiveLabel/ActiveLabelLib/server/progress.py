"""How far the project is, of `GET /activelabel/progress`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ActiveLabelLib.server.answers import CurvePoint, Progress
from ActiveLabelLib.server.reading import understood


@understood
def read_progress(answer: Mapping[str, Any]) -> Progress:
    """What runs, what happens next, and the learning curve."""
    unit, forecast = str(answer["unit"]), answer["forecast"]
    running = (_training(answer["training"]), _scoring(answer["scoring"]))
    return Progress(
        line=str(answer["waits_for"]),
        running="; ".join(text for text in running if text),
        curve=tuple(
            CurvePoint(
                labels=float(point[unit]),
                dice=float(point["dice"]),
                low=_number(point.get("dice_low")),
                high=_number(point.get("dice_high")),
                version=int(point["model_version"]),
                in_use=bool(point["in_use"]),
            )
            for point in answer["learning_curve"]
            if point["dice"] is not None
        ),
        unit=unit,
        forecast="" if forecast is None else str(forecast["sentence"]),
    )


def _training(found: Mapping[str, Any]) -> str:
    if not found["running"]:
        return ""
    if found["epoch"] is None:
        return "a training begins"
    return f"training, epoch {found['epoch']} of {found['epochs']}{_left(found['seconds_left'])}"


def _scoring(found: Mapping[str, Any]) -> str:
    if not found["running"]:
        return ""
    return f"scoring, {found['done']} of {found['all']} {found['unit']}{_left(found['seconds_left'])}"


def _number(found: float | None) -> float | None:
    return None if found is None else float(found)


def _left(seconds: float | None) -> str:
    """How long something takes, as people say it."""
    if seconds is None:
        return ""
    return f", {seconds:.0f} s left" if seconds < 90 else f", {seconds / 60:.0f} min left"
