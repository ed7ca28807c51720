"""Steps of the optimiser on a batch: on annotated patches, or on annotated and unannotated ones at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from activelabel.prediction.devices.precision import PrecisionName, choose_precision
from activelabel.recipes import Loss, SemiSupervisedSettings
from activelabel.training.semi_supervised import ConsistencyLoss, total_loss
from activelabel.training.two_views import VIEWS


@dataclass(frozen=True)
class MixedPrecision:
    """The type in which a network runs. Weights, loss and optimiser are always float32."""

    device: torch.device
    dtype: torch.dtype

    def autocast(self) -> torch.autocast:
        """The context in which the network runs."""
        mixed = self.dtype is not torch.float32
        return torch.autocast(self.device.type, dtype=self.dtype if mixed else None, enabled=mixed)

    def scaler(self) -> torch.amp.GradScaler:
        """What keeps small gradients from vanishing in half precision; does nothing in the others."""
        return torch.amp.GradScaler(self.device.type, enabled=self.dtype is torch.float16)


def mixed_precision(requested: PrecisionName, device: torch.device) -> MixedPrecision:
    """The precision of a training: bfloat16 where a prediction has it; half precision on a GPU without bfloat16."""
    dtype = choose_precision(requested, device).dtype
    if requested == "auto" and device.type == "cuda" and dtype is torch.float32:
        dtype = torch.float16
    return MixedPrecision(device, dtype)


@dataclass(frozen=True)
class Learner:
    """A network, its loss of logits and labels, and what changes its weights."""

    network: nn.Module
    loss: nn.Module
    optimizer: torch.optim.Optimizer
    precision: MixedPrecision
    scaler: torch.amp.GradScaler

    def descend(self, loss: Tensor) -> None:
        """Change the weights against the gradient of `loss`."""
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()


@dataclass(frozen=True)
class Step:
    """The outcome of a step: its loss, and the logits of the annotated patches, both without a gradient."""

    loss: Tensor
    logits: Tensor


class TakeStep(Protocol):
    """A kind of step."""

    def __call__(self, learner: Learner, batch: Mapping[str, Tensor]) -> Step:
        """Learn from a batch, which lies on the network's device."""


def supervised_step(learner: Learner, batch: Mapping[str, Tensor]) -> Step:
    """One step on annotated patches; the network is in training mode."""
    learner.optimizer.zero_grad()
    with learner.precision.autocast():
        logits = learner.network(batch["image"])
    logits = logits.float()
    loss = learner.loss(logits, batch["label"]).mean()
    learner.descend(loss)
    return Step(loss.detach(), logits.detach())


class SemiSupervisedStep:
    """One step of fine-tuning on annotated and unannotated patches (nath2022, 3.3, eq. 1).

    A batch has an `image` and a `label`, and the two views of other patches (see `two_views`). The plain views are
    predicted without dropout and without a gradient: the paper keeps them "unaugmented for best prediction". They are
    the target for the prediction of the augmented views. Annotated patches and augmented views go through the network
    together. The losses are in float32.
    """

    def __init__(self, settings: SemiSupervisedSettings, supervised: Loss, overlapping: bool = False) -> None:
        """Learn as `settings` say, beside the loss `supervised`; `overlapping`: each structure has its own sigmoid."""
        self._settings = settings
        self._consistency = ConsistencyLoss(supervised, overlapping)

    def __call__(self, learner: Learner, batch: Mapping[str, Tensor]) -> Step:
        """Learn from a batch of both kinds; the logits are those of the annotated patches, the loss is the total."""
        images, (plain, augmented) = batch["image"], (batch[view] for view in VIEWS)
        learner.network.eval()
        with torch.no_grad(), learner.precision.autocast():
            target = learner.network(plain)
        learner.network.train()
        learner.optimizer.zero_grad()
        # The target has an autocast of its own, because an autocast keeps the weights that it converts: those of the
        # target have no gradient.
        with learner.precision.autocast():
            both = learner.network(torch.cat([images, augmented]))
        logits, of_views = both.float().split([len(images), len(augmented)])
        loss = total_loss(
            learner.loss(logits, batch["label"]).mean(),
            self._consistency(target, of_views),
            self._settings.alpha,
            self._settings.beta,
        )
        learner.descend(loss)
        return Step(loss.detach(), logits.detach())
