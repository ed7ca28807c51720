"""Losses by name. All learn from partly annotated volumes: unannotated voxels have no influence."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from activelabel.data.labels.label_map import LabelMap
from activelabel.errors import NotFoundError
from activelabel.training.losses.dice_and_entropy import dice_and_entropy
from activelabel.training.losses.overlapping import OverlappingLoss

UNANNOTATED = -1
"""The value of an unannotated voxel in a training label."""

_SMOOTHING = 1e-5  # MONAI's


class PartialDiceLoss(nn.Module):
    """Soft Dice loss over annotated voxels (chlebus2022, eq. 1): 1 - 2 Σwyp / (Σwy + Σwp).

    The sums run over all voxels of the mini-batch; y is 1 where the label is the class, p is the softmax probability, w
    is 1 where the voxel is annotated. With several foreground classes, the loss is the mean over them. The label values
    of unannotated voxels have no influence on loss or gradient.
    """

    def __init__(self, smoothing: float = 0.0) -> None:
        """`smoothing` is added to numerator and denominator, so that an absent class need not cost 1."""
        super().__init__()
        self._smoothing = smoothing

    def forward(self, logits: Tensor, labels: Tensor, annotated: Tensor) -> Tensor:
        """The loss, a scalar in [0, 1].

        Args:
            logits: (B, C, *S), background first, C at least 2.
            labels: (B, 1, *S), values 0..C-1 where annotated, anything elsewhere.
            annotated: (B, 1, *S), bool or 0 and 1.

        Returns:
            Without smoothing, 1 for a class that no annotated voxel has; 0, with a zero gradient, if no voxel is
            annotated.

        Raises:
            ValueError: the shapes do not match.
        """
        _check_shapes(logits, labels, annotated)
        weights = annotated.bool()
        # Single precision also under autocast: sums over millions of voxels do not fit into half precision.
        predicted = logits.float().softmax(dim=1)[:, 1:] * weights
        wanted = _foreground(logits, labels, weights)
        over_batch_and_space = [0, *range(2, logits.dim())]
        overlap = (wanted * predicted).sum(dim=over_batch_and_space)
        total = wanted.sum(dim=over_batch_and_space) + predicted.sum(dim=over_batch_and_space) + self._smoothing
        dice = (2 * overlap + self._smoothing) / total.clamp_min(torch.finfo(total.dtype).tiny)
        return torch.where(weights.any(), 1 - dice, 0 * dice).mean()


class PartialCrossEntropy(nn.Module):
    """Cross-entropy of the softmax, the mean over annotated voxels; arguments and exceptions as `PartialDiceLoss`."""

    def forward(self, logits: Tensor, labels: Tensor, annotated: Tensor) -> Tensor:
        """The loss, a scalar of 0 or more; 0, with a zero gradient, if no voxel is annotated."""
        _check_shapes(logits, labels, annotated)
        wanted = torch.where(annotated.bool(), labels.long(), UNANNOTATED)[:, 0]
        total = functional.cross_entropy(logits.float(), wanted, ignore_index=UNANNOTATED, reduction="sum")
        return total / annotated.bool().sum().clamp_min(1)


class PartialBinaryCrossEntropy(nn.Module):
    """Binary cross-entropy of each foreground class against all others, the mean over classes and annotated voxels.

    For two classes it is the cross-entropy of their softmax. Arguments and exceptions as `PartialDiceLoss`.
    """

    def forward(self, logits: Tensor, labels: Tensor, annotated: Tensor) -> Tensor:
        """The loss, a scalar of 0 or more; 0, with a zero gradient, if no voxel is annotated."""
        _check_shapes(logits, labels, annotated)
        weights = annotated.bool()
        # The logit of one class against the sum of all others: exact even near 0 and 1.
        values = logits.float()
        others = [torch.cat([values[:, :c], values[:, c + 1 :]], dim=1) for c in range(1, values.shape[1])]
        against = torch.stack([other.logsumexp(dim=1) for other in others], dim=1)
        voxelwise = functional.binary_cross_entropy_with_logits(
            values[:, 1:] - against, _foreground(logits, labels, weights), reduction="none"
        )
        return (voxelwise * weights).sum() / (weights.sum() * len(others)).clamp_min(1)


class PartialDiceCELoss(nn.Module):
    """Dice loss plus cross-entropy over annotated voxels, as in `PartialDiceLoss`.

    If everything is annotated, it equals MONAI's `DiceCELoss` with `include_background=False` and `batch=True`, which
    are not its defaults: a small structure then counts as much as a large one, and a patch without it teaches too. For
    the defaults see `PartialPatchDiceCELoss`.
    """

    def forward(self, logits: Tensor, labels: Tensor, annotated: Tensor) -> Tensor:
        """The loss, a scalar of 0 or more; 0, with a zero gradient, if no voxel is annotated."""
        _check_shapes(logits, labels, annotated)
        return dice_and_entropy(logits, labels, annotated.bool(), _SMOOTHING)


class PartialPatchDiceCELoss(nn.Module):
    """MONAI's `DiceCELoss(to_onehot_y=True, softmax=True)`, with other defaults unchanged, over annotated voxels.

    Dice is computed for each patch and each class, background included, and the Dice loss is the mean over both:
    patches count equally, however much foreground they have. The cross-entropy is the mean over the annotated voxels of
    the mini-batch. A patch without annotated voxels has a Dice loss of 0 and no gradient.
    """

    def __init__(self) -> None:
        super().__init__()
        self._cross_entropy = PartialCrossEntropy()

    def forward(self, logits: Tensor, labels: Tensor, annotated: Tensor) -> Tensor:
        """The loss, a scalar of 0 or more; arguments and exceptions as `PartialDiceLoss`."""
        cross_entropy: Tensor = self._cross_entropy(logits, labels, annotated)
        weights = annotated.bool()
        predicted = logits.float().softmax(dim=1) * weights
        wanted = _one_hot(labels, weights, range(logits.shape[1]))
        space = list(range(2, logits.dim()))
        overlap = (wanted * predicted).sum(dim=space)
        total = wanted.sum(dim=space) + predicted.sum(dim=space)
        dice = 1 - (2 * overlap + _SMOOTHING) / (total + _SMOOTHING)
        return dice.mean() + cross_entropy


# Dice is over foreground classes only, each over the whole mini-batch: a patch in which a class is absent teaches too.
# The exception is `patch_dice_ce`, which nath2022 uses.
LOSSES: dict[str, Callable[[], nn.Module]] = {
    "bce": PartialBinaryCrossEntropy,
    "dice": lambda: PartialDiceLoss(_SMOOTHING),
    "dice_ce": PartialDiceCELoss,
    "patch_dice_ce": PartialPatchDiceCELoss,
    "partial_dice": PartialDiceLoss,
}


def build_loss(name: str, labels: LabelMap | None = None) -> nn.Module:
    """The loss called `name`, a function of logits (B, C, *S), labels (B, 1, *S) and the annotated mask (B, 1, *S).

    If the structures of `labels` overlap, it is the loss of that name for them, see `losses.overlapping`.

    Raises:
        NotFoundError: there is no such loss; the text lists all names.
    """
    if name not in LOSSES:
        raise NotFoundError(f"training.loss '{name}' does not exist: use one of {', '.join(sorted(LOSSES))}")
    if labels is not None and labels.overlaps:
        return OverlappingLoss(name, torch.from_numpy(labels.membership))
    return LOSSES[name]()


class MarkedLabelLoss(nn.Module):
    """A loss for engines that pass only logits and labels: `UNANNOTATED` in a label marks unannotated voxels."""

    def __init__(self, loss: nn.Module) -> None:
        """`loss` takes logits, labels and the annotated mask, like those of `build_loss`."""
        super().__init__()
        self._loss = loss

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of logits (B, C, *S) and labels (B, 1, *S) with values 0..C-1 and `UNANNOTATED`."""
        loss: Tensor = self._loss(logits, labels, labels >= 0)  # Not `!= UNANNOTATED`, which is 255 for bytes.
        return loss


def _foreground(logits: Tensor, labels: Tensor, annotated: Tensor) -> Tensor:
    """1 where a voxel is annotated as the class: float32 (B, C-1, *S)."""
    return _one_hot(labels, annotated, range(1, logits.shape[1]))


def _one_hot(labels: Tensor, annotated: Tensor, classes: range) -> Tensor:
    """1 where a voxel is annotated as one of `classes`: (B, 1, *S) to float32 (B, len(classes), *S)."""
    values = torch.tensor(classes, device=labels.device).view(1, -1, *[1] * (labels.dim() - 2))
    return ((labels == values) & annotated).float()


def _check_shapes(logits: Tensor, labels: Tensor, annotated: Tensor) -> None:
    expected = (logits.shape[0], 1, *logits.shape[2:])
    if logits.dim() < 3 or logits.shape[1] < 2:
        raise ValueError(f"logits: expected (B, C, *S) with at least 2 classes, got {tuple(logits.shape)}")
    for name, tensor in (("labels", labels), ("annotated", annotated)):
        if tensor.shape != expected:
            raise ValueError(f"{name}: expected shape {expected} beside logits, got {tuple(tensor.shape)}")
