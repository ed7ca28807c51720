"""Runs a training: in this process, or in several that train together, started as `torchrun` starts them."""

import logging
from collections.abc import Callable, Sequence

import torch

from activelabel.training.engine.loop import Outcome, TrainingLoop
from activelabel.training.engine.one_process import WEIGHTS_FILE, train_together
from activelabel.training.engine.plan import Plan
from activelabel.training.engine.progress import Stats

Show = Callable[[Stats], object]


def train(plan: Plan, show: Show, devices: Sequence[str] = ()) -> Outcome:
    """Train as a plan says; `show` is called with the statistics after each epoch.

    With several `devices`, each has a process of its own: these share the steps, and average their gradients. `plan`
    and `show` are sent to them.

    Raises:
        InvalidInputError: a case cannot be read.
        ChildFailedError: one of several processes failed; its output says why.
    """
    if len(devices) < 2:
        return TrainingLoop(plan, show).run()
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch  # takes seconds to import

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=len(devices),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",  # a free port
        max_restarts=0,
    )
    logging.getLogger(__name__).info("training in %d processes: %s", len(devices), ", ".join(devices))
    stats: dict[int, Stats] = elastic_launch(config, train_together)(plan, show, tuple(devices))
    weights = torch.load(plan.folder / WEIGHTS_FILE, map_location="cpu", weights_only=True)
    return Outcome(stats[0], weights)
