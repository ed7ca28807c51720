"""Losses by name, and the Dice loss that learns from partly annotated volumes."""

from collections.abc import Callable

import torch
from monai.losses import DiceCELoss, DiceLoss
from torch import Tensor, nn

from activelabel.errors import NotFoundError

# Over foreground classes only, each over the whole mini-batch: a patch in which a class is absent then teaches too.
LOSSES: dict[str, Callable[[], nn.Module]] = {
    "dice_ce": lambda: DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True),
    "dice": lambda: DiceLoss(include_background=False, to_onehot_y=True, softmax=True, batch=True),
}


def build_loss(name: str) -> nn.Module:
    """The loss called `name`, of logits (B, C, *S) and labels (B, 1, *S).

    Raises:
        NotFoundError: there is no such loss; the text lists those there are.
    """
    if name not in LOSSES:
        raise NotFoundError(f"training.loss '{name}' does not exist: use one of {', '.join(sorted(LOSSES))}")
    return LOSSES[name]()


class PartialDiceLoss(nn.Module):
    """Soft Dice loss over annotated voxels (chlebus2022, eq. 1): 1 - 2 Σwyp / (Σwy + Σwp).

    The sums run over all voxels of the mini-batch, y is 1 where the label is the class, p the softmax probability, w 1
    where the voxel is annotated. With several foreground classes, the mean over them. Whatever the labels of voxels
    that are not annotated hold has no influence on loss or gradient.
    """

    def forward(self, logits: Tensor, labels: Tensor, annotated: Tensor) -> Tensor:
        """The loss, a scalar in [0, 1].

        Args:
            logits: (B, C, *S), background first, C at least 2.
            labels: (B, 1, *S), values 0..C-1 where annotated, anything elsewhere.
            annotated: (B, 1, *S), bool or 0 and 1.

        Returns:
            1 for a class that is nowhere annotated as such; 0, with a zero gradient, if no voxel is annotated.

        Raises:
            ValueError: the shapes do not belong together.
        """
        _check_shapes(logits, labels, annotated)
        classes = torch.arange(1, logits.shape[1], device=logits.device).view(1, -1, *[1] * (logits.dim() - 2))
        weights = annotated.bool()
        # In single precision also under autocast: sums over millions of voxels do not fit into half precision.
        predicted = logits.float().softmax(dim=1)[:, 1:] * weights
        wanted = ((labels == classes) & weights).float()
        over_batch_and_space = [0, *range(2, logits.dim())]
        overlap = (wanted * predicted).sum(dim=over_batch_and_space)
        total = wanted.sum(dim=over_batch_and_space) + predicted.sum(dim=over_batch_and_space)
        dice = 2 * overlap / total.clamp_min(torch.finfo(total.dtype).tiny)
        return torch.where(weights.any(), 1 - dice, 0 * dice).mean()


def _check_shapes(logits: Tensor, labels: Tensor, annotated: Tensor) -> None:
    expected = (logits.shape[0], 1, *logits.shape[2:])
    if logits.dim() < 3 or logits.shape[1] < 2:
        raise ValueError(f"logits: expected (B, C, *S) with at least 2 classes, got {tuple(logits.shape)}")
    for name, tensor in (("labels", labels), ("annotated", annotated)):
        if tensor.shape != expected:
            raise ValueError(f"{name}: expected shape {expected} beside logits, got {tuple(tensor.shape)}")
