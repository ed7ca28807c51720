"""Runs a training: in this process, or in several, each on a GPU of its own."""

from collections.abc import Callable, Sequence

from activelabel.training.engine.loop import Outcome, TrainingLoop
from activelabel.training.engine.plan import Plan
from activelabel.training.engine.progress import Stats


def train(plan: Plan, show: Callable[[Stats], object], gpus: Sequence[int] = ()) -> Outcome:
    """Train as a plan says; `show` is called with the statistics after each epoch.

    Raises:
        InvalidInputError: a case cannot be read.
    """
    return TrainingLoop(plan, show).run()
