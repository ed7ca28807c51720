"""Advice on whether to go on: the learning curve of a project, and the expected gain of the next labels."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from activelabel.analysis.forecast import Forecast, forecast
from activelabel.project.project import Project

Point = dict[str, Any]


def learning_curve(project: Project) -> list[Point]:
    """A point for each model of the task that was not withdrawn: its labels and its metrics.

    A point has `model_version`, `in_use`, the numbers of `volumes`, `slices` and `foreground_slices` of its labels, the
    number of `validation_cases` among them, and the Dice of these: `dice` and `dice_NAME`, None if undefined.
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
    """The unit in which labels are counted: `slices` if the project asks for slices, else `volumes`."""
    query = project.recipe.query
    return "slices" if query.asks_slices or query.starts_with_slices else "volumes"


def judged_points(project: Project, curve: Sequence[Point]) -> list[tuple[int, float]]:
    """Effort and Dice of the models that were judged; models whose effort was not counted are left out."""
    unit = effort_unit(project)
    return [(point[unit], point["dice"]) for point in curve if point[unit] and point.get("dice") is not None]


def forecast_of(project: Project, curve: Sequence[Point]) -> Forecast | None:
    """The expected gain of the labels until the next model; None before the first judged model."""
    judged = judged_points(project, curve)
    return _forecast(tuple(judged), project.thresholds.retrain_after, effort_unit(project)) if judged else None


def forecast_sentence(ahead: Forecast | None) -> str:
    """A sentence on whether to go on."""
    return ahead.sentence if ahead is not None else "It is too early for a forecast: no model has been judged yet."


def advice(project: Project) -> dict[str, Any]:
    """Learning curve, forecast and sentence as JSON, also before there is a model."""
    curve = learning_curve(project)
    ahead = forecast_of(project, curve)
    return {
        "unit": effort_unit(project),
        "learning_curve": curve,
        "forecast": None if ahead is None else asdict(ahead),
        "seconds_ahead": seconds_ahead(project),
        "sentence": forecast_sentence(ahead),
    }


def seconds_ahead(project: Project) -> float | None:
    """The expected time for the labels until the next model; None while no label has answered a query of its kind."""
    model, limits = project.ledger.model_in_use(), project.thresholds
    query = project.recipe.query
    of_slices = query.starts_with_slices if model is None else query.asks_slices
    each = project.ledger.seconds_a_label(of_slices=of_slices)
    return None if each is None else each * (limits.start if model is None else limits.retrain_after)


@lru_cache(maxsize=16)
def _forecast(judged: tuple[tuple[int, float], ...], more: int, unit: str) -> Forecast:
    """The forecast, cached because clients ask for the same one every few seconds."""
    return forecast([effort for effort, _ in judged], [dice for _, dice in judged], more, unit=unit)
