"""Whether to go on: the learning curve of a running project, and what the next labels would bring."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from activelabel.analysis.forecast import Forecast, forecast
from activelabel.project.project import Project

Point = dict[str, Any]


def learning_curve(project: Project) -> list[Point]:
    """A point for each model of the task that was not withdrawn: what its labels were, and how well it did.

    Each has `model_version`, whether it is `in_use`, `volumes`, `slices` and `foreground_slices` of its labels, those
    of the `validation_cases` among them, and its metrics: Dice of these, `dice` and `dice_NAME`, None where nothing
    could be judged.
    """
    efforts, in_use = project.ledger.model_efforts(), project.ledger.model_in_use()
    return [
        {
            "model_version": model.version,
            "in_use": in_use is not None and in_use.version == model.version,
            **vars(efforts[model.version]),
            "validation_cases": len(model.validated_on),
            **model.metrics,
        }
        for model in project.ledger.models(in_service=True)
        if model.version in efforts
    ]


def effort_unit(project: Project) -> str:
    """What the labels of the project are counted in: `slices` where it asks for slices, else `volumes`."""
    query = project.recipe.query
    return "slices" if query.asks_slices or query.starts_with_slices else "volumes"


def judged_points(project: Project, curve: Sequence[Point]) -> list[tuple[int, float]]:
    """Effort and Dice of the models that were judged; effort that nobody has counted is none."""
    unit = effort_unit(project)
    return [(point[unit], point["dice"]) for point in curve if point[unit] and point.get("dice") is not None]


def forecast_of(project: Project, curve: Sequence[Point]) -> Forecast | None:
    """What the labels until the next model would bring to a learning curve; None before the first judged model."""
    judged = judged_points(project, curve)
    return _forecast(tuple(judged), project.thresholds.retrain_after, effort_unit(project)) if judged else None


def said(ahead: Forecast | None) -> str:
    """Whether to go on, in a sentence."""
    return ahead.sentence if ahead is not None else "It is too early for a forecast: no model has been judged yet."


def advice(project: Project) -> dict[str, Any]:
    """Learning curve, forecast and sentence, as JSON; also before there is a model."""
    curve = learning_curve(project)
    ahead = forecast_of(project, curve)
    return {
        "unit": effort_unit(project),
        "learning_curve": curve,
        "forecast": None if ahead is None else asdict(ahead),
        "sentence": said(ahead),
    }


@lru_cache(maxsize=16)
def _forecast(judged: tuple[tuple[int, float], ...], more: int, unit: str) -> Forecast:
    """Clients ask for the same one every few seconds."""
    return forecast([effort for effort, _ in judged], [dice for _, dice in judged], more, unit=unit)
