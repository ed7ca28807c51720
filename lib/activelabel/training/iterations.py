"""Steps of training and validation that MONAI's engines do not have, each for use as their `iteration_update`.

They run in bfloat16 on a CPU, because the engines have mixed precision on CUDA only; or semi-supervised, on two batches
at once.
"""

from collections.abc import Mapping
from typing import cast

import torch
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.utils.enums import CommonKeys
from torch import Tensor

from activelabel.recipes import SemiSupervisedSettings
from activelabel.training.semi_supervised import ConsistencyLoss, total_loss
from activelabel.training.two_views import VIEWS

Output = dict[str, Tensor] | list[dict[str, Tensor]]
"""The entries of a batch, or of each of its items after post-processing."""


def bfloat16_training_step(engine: SupervisedTrainer, batch: Mapping[str, Tensor]) -> Output:
    """Run one step of the optimiser, with the network in bfloat16, and its weights and the loss in float32.

    It fires the same events and returns the same entries as `SupervisedTrainer`'s own step.
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
    """Run one prediction, with the network in bfloat16 and its output in float32; see `bfloat16_training_step`."""
    images, labels = engine.prepare_batch(batch, engine.state.device, engine.non_blocking)
    output: dict[str, Tensor] = {CommonKeys.IMAGE: images, CommonKeys.LABEL: labels}
    engine.state.output = output
    with engine.mode(engine.network), torch.autocast("cpu", dtype=torch.bfloat16):
        output[CommonKeys.PRED] = engine.inferer(images, engine.network).float()
    engine.fire_event(IterationEvents.FORWARD_COMPLETED)
    engine.fire_event(IterationEvents.MODEL_COMPLETED)
    # Not `output`: the event has replaced it by what the post-processing made of it.
    return cast(Output, engine.state.output)


class SemiSupervisedStep:
    """One step of fine-tuning on annotated and unannotated patches (nath2022, 3.3, eq. 1).

    A batch has an `image` and a `label`, and the two views of other patches (see `two_views`). The plain views are
    predicted without dropout and without a gradient: the paper keeps them "unaugmented for best prediction". They are
    the target for the prediction of the augmented views. Annotated patches and augmented views go through the network
    together. The network runs in the precision of the engine's own step, the losses in float32.
    """

    def __init__(self, settings: SemiSupervisedSettings, bfloat16_on_cpu: bool, overlapping: bool = False) -> None:
        self._settings = settings
        self._bfloat16_on_cpu = bfloat16_on_cpu
        self._consistency = ConsistencyLoss(overlapping)

    def __call__(self, engine: SupervisedTrainer, batch: Mapping[str, Tensor]) -> Output:
        """Fire the same events and return the same entries as `SupervisedTrainer`'s own step, for annotated patches and
        with the total loss.
        """
        images, labels = engine.prepare_batch(batch, engine.state.device, engine.non_blocking)
        plain, augmented = (batch[view].to(images.device, non_blocking=engine.non_blocking) for view in VIEWS)
        output: dict[str, Tensor] = {CommonKeys.IMAGE: images, CommonKeys.LABEL: labels}
        engine.state.output = output
        engine.network.eval()
        with torch.no_grad(), self._autocast(engine, images.device):
            target = engine.inferer(plain, engine.network)
        engine.network.train()
        engine.optimizer.zero_grad()
        # The target has an autocast of its own, because an autocast keeps the weights that it converts: those of the
        # target have no gradient.
        with self._autocast(engine, images.device):
            logits = engine.inferer(torch.cat([images, augmented]), engine.network).float()
        output[CommonKeys.PRED], of_views = logits.split([len(images), len(augmented)])
        engine.fire_event(IterationEvents.FORWARD_COMPLETED)
        output[CommonKeys.LOSS] = total_loss(
            engine.loss_function(output[CommonKeys.PRED], labels).mean(),
            self._consistency(target, of_views),
            self._settings.alpha,
            self._settings.beta,
        )
        engine.fire_event(IterationEvents.LOSS_COMPLETED)
        _descend(engine, output[CommonKeys.LOSS])
        engine.fire_event(IterationEvents.MODEL_COMPLETED)
        # Not `output`: the event has replaced it by what the post-processing made of it.
        return cast(Output, engine.state.output)

    def _autocast(self, engine: SupervisedTrainer, device: torch.device) -> torch.autocast:
        if device.type == "cpu":
            return torch.autocast("cpu", dtype=torch.bfloat16, enabled=self._bfloat16_on_cpu)
        return torch.autocast(device.type, enabled=engine.amp, **engine.amp_kwargs)


def _descend(engine: SupervisedTrainer, loss: Tensor) -> None:
    """Run one step of the optimiser; scale the loss if the engine does so for half precision."""
    if engine.amp and engine.scaler is not None:
        engine.scaler.scale(loss).backward()
        engine.fire_event(IterationEvents.BACKWARD_COMPLETED)
        engine.scaler.step(engine.optimizer)
        engine.scaler.update()
    else:
        loss.backward()
        engine.fire_event(IterationEvents.BACKWARD_COMPLETED)
        engine.optimizer.step()
