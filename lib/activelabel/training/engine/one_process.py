"""What each of several processes that train one network does. It imports the rest when it has begun, MONAI lean.

It is started with the name of its function and with the plan, in this order, and reading the plan imports MONAI.
"""

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from activelabel.lean_imports import import_monai_lean

if TYPE_CHECKING:
    from activelabel.training.engine.plan import Plan
    from activelabel.training.engine.progress import Stats

WEIGHTS_FILE = "weights.pt"
"""In the plan's folder: the outcome's weights, which the first process writes."""

import_monai_lean()


def train_together(plan: "Plan", show: "Callable[[Stats], object]", devices: tuple[str, ...]) -> "Stats":
    """Train as one of the processes, and return the statistics."""
    import torch
    import torch.distributed

    from activelabel.training.engine.loop import TrainingLoop
    from activelabel.training.engine.together import Together

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
        torch.save(dict(outcome.weights), plan.folder / WEIGHTS_FILE)
    return outcome.stats
