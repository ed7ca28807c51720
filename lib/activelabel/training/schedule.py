"""The length of a training: its number of steps grows with the effort spent on its labels."""

from collections.abc import Sequence

import numpy as np

from activelabel.recipes import TrainingSettings


def scheduled(settings: TrainingSettings, effort_units: float) -> TrainingSettings:
    """The settings of one training, with steps by effort spread over the epochs; unchanged if steps do not go by
    effort.

    `effort_units` counts the units of chlebus2022 (IV), see `acquisition.effort`. An epoch has at least one step.
    """
    if settings.steps_by_effort is None:
        return settings
    steps = steps_of_effort(effort_units, settings.steps_by_effort)
    return settings.model_copy(update={"steps_per_epoch": max(round(steps / settings.epochs), 1)})


def steps_of_effort(effort_units: float, pairs: Sequence[tuple[float, int]]) -> float:
    """Steps on the line from (0, 0) through the rising `pairs` of effort and steps; constant after the last pair."""
    efforts, steps = zip((0.0, 0), *pairs, strict=True)
    return float(np.interp(effort_units, efforts, steps))
