"""The uncertainty about classes that exclude each other, by their probabilities (a softmax): `(C, *S)` → `(*S)`."""

import torch
from torch import Tensor

from activelabel.acquisition.overlapping import entr


def entropy(probabilities: Tensor) -> Tensor:
    """−Σ p ln p, 0·log 0 = 0; in [0, ln C]."""
    return entr(probabilities).sum(dim=0)


def least_confidence(probabilities: Tensor) -> Tensor:
    """1 − p₁, p₁ the largest probability; in [0, 1 − 1/C]."""
    return 1 - probabilities.amax(dim=0)


def margin(probabilities: Tensor) -> Tensor:
    """1 − (p₁ − p₂), p₁ ≥ p₂ the two largest probabilities; in [0, 1]."""
    largest, second = two_largest(probabilities)
    return 1 - (largest - second)


def two_largest(probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """p₁ ≥ p₂, the two largest probabilities of each voxel: `(C, *S)` → twice `(*S)`. Faster than `torch.topk`."""
    first, other, *more = probabilities
    largest, second = torch.maximum(first, other), torch.minimum(first, other)
    for probability in more:
        second = torch.maximum(second, torch.minimum(largest, probability))
        largest = torch.maximum(largest, probability)
    return largest, second
