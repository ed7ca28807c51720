"""Runs a training: in this process, or in several that train together, started as `torchrun` starts them."""

import logging
import os
from collections.abc import Callable, Sequence

import torch
import torch.distributed

from activelabel.training.engine.loop import Outcome, TrainingLoop
from activelabel.training.engine.plan import Plan
from activelabel.training.engine.progress import Stats
from activelabel.training.engine.together import Together

Show = Callable[[Stats], object]

_WEIGHTS_FILE = "weights.pt"


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
    stats: dict[int, Stats] = elastic_launch(config, _train_together)(plan, show, tuple(devices))
    weights = torch.load(plan.folder / _WEIGHTS_FILE, map_location="cpu", weights_only=True)
    return Outcome(stats[0], weights)


def _train_together(plan: Plan, show: Show, devices: tuple[str, ...]) -> Stats:
    """One of the processes."""
    logging.basicConfig(level=logging.INFO)
    together = Together(int(os.environ["RANK"]), len(devices), devices)
    device = together.device_of(plan)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        outcome = TrainingLoop(plan, show, together).run()
    finally:
        torch.distributed.destroy_process_group()
    if together.is_first:
        torch.save(dict(outcome.weights), plan.folder / _WEIGHTS_FILE)
    return outcome.stats
