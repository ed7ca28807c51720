"""The uncertainty about structures that overlap, each with a probability of its own (a sigmoid): `(N, *S)` → `(*S)`.

Each structure is a decision between two classes, p and 1 − p, and has the measure that its two classes would have. The
measure of a voxel is the mean over structures: it has the same range whatever their number, so that thresholds and
scores of two projects can be compared. A sum would rank voxels alike.
"""

import torch
from torch import Tensor

_LEAST_NORMAL = torch.finfo(torch.float32).tiny


def entr(probabilities: Tensor) -> Tensor:
    """−p ln p, 0·log 0 = 0, NaN for NaN: as `torch.special.entr`, which is slow on a CPU as it works value by value."""
    return probabilities.clamp_min(_LEAST_NORMAL).log_().mul_(probabilities).neg_()


def entropy(probabilities: Tensor) -> Tensor:
    """Mean over structures of −p ln p − (1 − p) ln (1 − p), 0·log 0 = 0; in [0, ln 2]."""
    return (entr(probabilities) + entr(1 - probabilities)).mean(dim=0)


def least_confidence(probabilities: Tensor) -> Tensor:
    """Mean over structures of 1 − max(p, 1 − p); in [0, 0.5]."""
    return torch.minimum(probabilities, 1 - probabilities).mean(dim=0)


def margin(probabilities: Tensor) -> Tensor:
    """Mean over structures of 1 − |p − (1 − p)|; in [0, 1]."""
    return 1 - (2 * probabilities - 1).abs().mean(dim=0)


def boundary(probabilities: Tensor, width: float) -> Tensor:
    """Voxels near the boundary of some structure: |p − 0.5| < `width` (the meaning of ma2024, eq. 2); bool."""
    return ((probabilities - 0.5).abs() < width).any(dim=0)


def with_background(probabilities: Tensor) -> Tensor:
    """Structures with a first map for the background, 1 − the largest probability: `(N, *S)` → `(1 + N, *S)`.

    A voxel has foreground where some structure is more probable than not, as for structures that exclude each other.
    """
    return torch.cat([1 - probabilities.amax(dim=0, keepdim=True), probabilities])
