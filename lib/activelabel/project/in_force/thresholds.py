"""The numbers of labels that make a training due."""

from dataclasses import dataclass

from activelabel.recipes import QuerySettings


@dataclass(frozen=True)
class Thresholds:
    """The numbers of training labels that make a training due: `start` for the first, `retrain_after` new ones later.

    They count volumes or slices, whichever is asked for at that time. Validation labels do not count.
    """

    start: int
    retrain_after: int


def thresholds(query: QuerySettings, start: int | None, retrain_after: int | None) -> Thresholds:
    """The thresholds of the settings, else of the recipe.

    A `retrain_after` that was set without a `start` also holds for the first training, if both count the same unit.
    """
    same_unit = query.asks_slices == query.starts_with_slices
    first = start or (retrain_after if same_unit else None) or query.start
    return Thresholds(first, retrain_after or query.size)
