"""Losses for structures that overlap, each with a sigmoid of its own. Unannotated voxels have no influence.

A label has one number a voxel, that of a part: the set of structures to which the voxel belongs (`LabelMap.parts`).
Each loss is what the loss of its name in `losses` is for the two classes of one structure, the mean over structures.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from activelabel.errors import NotFoundError

_SMOOTHING = 1e-5  # MONAI's
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""A function of logits, wanted structures and weights, float32 (B, N, *S) each, the last (B, 1, *S); to a scalar."""


class OverlappingLoss(nn.Module):
    """A loss of logits (B, N, *S), parts (B, 1, *S) and the annotated mask (B, 1, *S), as those of `build_loss`."""

    def __init__(self, name: str, membership: Tensor) -> None:
        """Use the loss called `name`; `membership` tells which part belongs to which structure, bool (parts, N).

        Raises:
            NotFoundError: there is no such loss; the text lists all names.
        """
        super().__init__()
        if name not in OVERLAPPING_LOSSES:
            names = ", ".join(sorted(OVERLAPPING_LOSSES))
            raise NotFoundError(f"training.loss '{name}' does not exist: use one of {names}")
        self._loss = OVERLAPPING_LOSSES[name]
        self._membership = membership.float()

    def forward(self, logits: Tensor, parts: Tensor, annotated: Tensor) -> Tensor:
        """The loss, a scalar of 0 or more; 0, with a zero gradient, if no voxel is annotated.

        Raises:
            ValueError: the shapes do not match.
        """
        _check_shapes(logits, parts, annotated, len(self._membership[0]))
        weights = annotated.bool()
        wanted = structures_of(torch.where(weights, parts, 0), self._membership)
        return self._loss(logits.float(), wanted, weights.float())


def structures_of(parts: Tensor, membership: Tensor) -> Tensor:
    """The structures of each voxel: parts (B, 1, *S) to float32 (B, N, *S), 1 where a voxel belongs to one."""
    return membership.to(parts.device, torch.float32)[parts[:, 0].long()].movedim(-1, 1)


def _check_shapes(logits: Tensor, parts: Tensor, annotated: Tensor, structures: int) -> None:
    expected = (logits.shape[0], 1, *logits.shape[2:])
    if logits.dim() < 3 or logits.shape[1] != structures:
        raise ValueError(f"logits: expected (B, {structures}, *S), got {tuple(logits.shape)}")
    for name, tensor in (("labels", parts), ("annotated", annotated)):
        if tensor.shape != expected:
            raise ValueError(f"{name}: expected shape {expected} beside logits, got {tuple(tensor.shape)}")


def _cross_entropy(logits: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    voxelwise = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return (voxelwise * weights).sum() / (weights.sum() * logits.shape[1]).clamp_min(1)


def _dice(smoothing: float, of_patches: bool = False) -> Loss:
    def loss(logits: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
        predicted, wanted = logits.sigmoid() * weights, wanted * weights
        axes = [*([] if of_patches else [0]), *range(2, logits.dim())]
        overlap = (wanted * predicted).sum(dim=axes)
        total = wanted.sum(dim=axes) + predicted.sum(dim=axes) + smoothing
        dice = (2 * overlap + smoothing) / total.clamp_min(torch.finfo(total.dtype).tiny)
        return torch.where(weights.any(), 1 - dice, 0 * dice).mean()

    return loss


def _sum(first: Loss, second: Loss) -> Loss:
    return lambda logits, wanted, weights: first(logits, wanted, weights) + second(logits, wanted, weights)


OVERLAPPING_LOSSES: dict[str, Loss] = {
    "bce": _cross_entropy,
    "dice": _dice(_SMOOTHING),
    "dice_ce": _sum(_dice(_SMOOTHING), _cross_entropy),
    "patch_dice_ce": _sum(_dice(_SMOOTHING, of_patches=True), _cross_entropy),
    "partial_dice": _dice(0.0),
}
