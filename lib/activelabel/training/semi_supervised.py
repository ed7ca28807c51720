"""The second stage of a round (nath2022, 3.3): learning from unannotated volumes.

The paper leaves open how several foreground classes compete for the threshold, which of the two views carries the
gradient, and whether its target is a class or a probability. Each function states its choice.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from activelabel.acquisition.selection import Id, top_k
from activelabel.recipes import Loss

_SMOOTHING = 1e-5  # the smoothing of the supervised loss


def most_certain(scores: Mapping[Id, float], k: int) -> list[Id]:
    """Ids of the `k` smallest uncertainties, most certain first, ties by id; all of them where there are fewer.

    `k` is the number of annotated volumes (nath2022, 3.3: "equivalent to the number of labeled data").

    Raises:
        ValueError: a score is NaN (the text names its id), or `k` is negative.
    """
    return top_k({id: -score for id, score in scores.items()}, k)


def noisy_label(probabilities: Tensor, threshold: float) -> Tensor:
    """A label from a prediction (nath2022, 3.3): (C, *S), background first, to int64 (*S) with values 0..C-1.

    A voxel gets its most probable foreground class if the probability is *above* `threshold`, and background otherwise,
    which removes false positives. Of two equal classes, impossible above a threshold of 0.9, the first one counts.

    Raises:
        ValueError: there is no foreground class, or `threshold` lies outside [0, 1).
    """
    if probabilities.ndim < 2 or len(probabilities) < 2:
        raise ValueError(f"probabilities: expected (C, *S) with at least 2 classes, got {tuple(probabilities.shape)}")
    if not 0 <= threshold < 1:
        raise ValueError(f"threshold must be 0 or more and below 1, got {threshold}")
    highest, foreground_class = probabilities[1:].max(dim=0)
    return torch.where(highest > threshold, foreground_class + 1, 0)


class ConsistencyLoss(nn.Module):
    """Difference of two predictions of one patch: soft Dice loss plus cross-entropy (nath2022, eq. 1, second term).

    The prediction of the plain view is the target and carries no gradient; that of the augmented view learns from it.
    The paper leaves this open. It keeps the plain view "unaugmented for best prediction": a gradient through it would
    draw the better prediction towards the worse one, and through both, would reward agreeing on anything.

    The target is the softmax itself, not its most probable class: with p of the plain view and q of the augmented one,
    mean(-Σ p ln q) over voxels, plus the mean of 1 - 2 Σpq / (Σp + Σq), summed as the recipe's supervised loss sums, as
    the paper has the same DiceCE for both terms. For `patch_dice_ce`, MONAI's `DiceCELoss`, that is the mean over
    patches and all classes, each patch by itself; for every other loss the sums go over batch and space, and the mean
    is over foreground classes. It is 0 for two equal, certain views, even if both are background throughout. For two
    equal, uncertain views it is positive (at least their entropy), so that it also rewards certainty.
    """

    def __init__(self, supervised: Loss = "dice_ce", overlapping: bool = False) -> None:
        """Sum as the loss `supervised` does.

        `overlapping`: the channels are structures with a sigmoid each, and no background. The cross-entropy is then the
        mean over structures of −p ln q − (1 − p) ln (1 − q).
        """
        super().__init__()
        self._of_patches = supervised == "patch_dice_ce"
        self._overlapping = overlapping

    def forward(self, plain: Tensor, augmented: Tensor) -> Tensor:
        """The loss, a scalar of 0 or more, of two tensors of logits (B, C, *S), background first, C at least 2.

        Raises:
            ValueError: the shapes differ, or there is no foreground class.
        """
        if plain.shape != augmented.shape or plain.dim() < 3 or plain.shape[1] < 2:
            raise ValueError(
                "views: expected logits (B, C, *S) of one shape with at least 2 classes, got "
                f"{tuple(plain.shape)} and {tuple(augmented.shape)}"
            )
        # In single precision also under autocast: sums over many voxels do not fit into half precision.
        if self._overlapping:
            wanted, predicted = plain.detach().float().sigmoid(), augmented.float().sigmoid()
            cross_entropy = functional.binary_cross_entropy_with_logits(augmented.float(), wanted)
        else:
            target = plain.detach().float().softmax(dim=1)
            log_predicted = augmented.float().log_softmax(dim=1)
            cross_entropy = -(target * log_predicted).sum(dim=1).mean()
            first = 0 if self._of_patches else 1  # MONAI's loss counts the background too
            wanted, predicted = target[:, first:], log_predicted[:, first:].exp()
        summed = [*([] if self._of_patches else [0]), *range(2, plain.dim())]
        overlap = (wanted * predicted).sum(dim=summed)
        size = wanted.sum(dim=summed) + predicted.sum(dim=summed)
        dice = 1 - (2 * overlap + _SMOOTHING) / (size + _SMOOTHING)
        return dice.mean() + cross_entropy


def total_loss(supervised: Tensor, consistency: Tensor, alpha: float, beta: float) -> Tensor:
    """α · supervised + β · consistency (nath2022, eq. 1); the paper has α = 1 and β = 0.001."""
    return alpha * supervised + beta * consistency
