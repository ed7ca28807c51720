"""Steps of training and validation in bfloat16 on a CPU: MONAI's engines know mixed precision on CUDA only."""

from collections.abc import Mapping
from typing import cast

import torch
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.utils.enums import CommonKeys
from torch import Tensor

Output = dict[str, Tensor] | list[dict[str, Tensor]]
"""Of a batch, or of each of its items after post-processing."""


def bfloat16_training_step(engine: SupervisedTrainer, batch: Mapping[str, Tensor]) -> Output:
    """One step of the optimiser, the network in bfloat16, its weights and the loss in float32.

    Fires the events and returns the entries that `SupervisedTrainer`'s own step does, for use as `iteration_update`.
    """
    images, labels = engine.prepare_batch(batch, engine.state.device, engine.non_blocking)
    output: dict[str, Tensor] = {CommonKeys.IMAGE: images, CommonKeys.LABEL: labels}
    engine.state.output = output
    engine.network.train()
    engine.optimizer.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = engine.inferer(images, engine.network)
    output[CommonKeys.PRED] = logits.float()
    engine.fire_event(IterationEvents.FORWARD_COMPLETED)
    output[CommonKeys.LOSS] = engine.loss_function(output[CommonKeys.PRED], labels).mean()
    engine.fire_event(IterationEvents.LOSS_COMPLETED)
    output[CommonKeys.LOSS].backward()
    engine.fire_event(IterationEvents.BACKWARD_COMPLETED)
    engine.optimizer.step()
    engine.fire_event(IterationEvents.MODEL_COMPLETED)
    # Not `output`: the event has replaced it by what the post-processing made of it.
    return cast(Output, engine.state.output)


def bfloat16_validation_step(engine: SupervisedEvaluator, batch: Mapping[str, Tensor]) -> Output:
    """One prediction, the network in bfloat16, what it gives in float32; see `bfloat16_training_step`."""
    images, labels = engine.prepare_batch(batch, engine.state.device, engine.non_blocking)
    output: dict[str, Tensor] = {CommonKeys.IMAGE: images, CommonKeys.LABEL: labels}
    engine.state.output = output
    with engine.mode(engine.network), torch.autocast("cpu", dtype=torch.bfloat16):
        output[CommonKeys.PRED] = engine.inferer(images, engine.network).float()
    engine.fire_event(IterationEvents.FORWARD_COMPLETED)
    engine.fire_event(IterationEvents.MODEL_COMPLETED)
    # Not `output`: the event has replaced it by what the post-processing made of it.
    return cast(Output, engine.state.output)
