"""How long a training is: as many steps as the effort of what it learns from is worth."""

from collections.abc import Sequence

import numpy as np

from activelabel.recipes import TrainingSettings


def scheduled(settings: TrainingSettings, effort_units: float) -> TrainingSettings:
    """The settings of one training, its steps spread over the epochs if they go by the effort; else as they are.

    `effort_units` are those of chlebus2022 (IV), see `acquisition.effort`. An epoch has at least one step.
    """
    if settings.steps_by_effort is None:
        return settings
    steps = steps_of_effort(effort_units, settings.steps_by_effort)
    return settings.model_copy(update={"steps_per_epoch": max(round(steps / settings.epochs), 1)})


def steps_of_effort(effort_units: float, pairs: Sequence[tuple[float, int]]) -> float:
    """Steps on the line from (0, 0) through the pairs of effort and steps, which rise; after the last they stay."""
    efforts, steps = zip((0.0, 0), *pairs, strict=True)
    return float(np.interp(effort_units, efforts, steps))
