"""Dice plus cross-entropy in one: the value and the gradient of its two parts."""

import pytest
import torch
from torch import Tensor

from activelabel.training.losses.by_name import PartialCrossEntropy, PartialDiceLoss
from activelabel.training.losses.dice_and_entropy import dice_and_entropy

SMOOTHING = 1e-5


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("known", ["all", "half", "none"])
def test_value_and_gradient_are_those_of_the_two_losses(classes: int, known: str) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(2, classes, 4, 5, 6, generator=generator)
    labels = torch.randint(0, classes, (2, 1, 4, 5, 6), generator=generator, dtype=torch.int16)
    annotated = torch.rand(labels.shape, generator=generator) < {"all": 1.0, "half": 0.5, "none": 0.0}[known]

    def parts(logits: Tensor, labels: Tensor, annotated: Tensor, smoothing: float) -> Tensor:
        dice: Tensor = PartialDiceLoss(smoothing)(logits, labels, annotated)
        entropy: Tensor = PartialCrossEntropy()(logits, labels, annotated)
        return dice + entropy

    found, gradients = [], []
    for loss in (parts, dice_and_entropy):
        own = logits.clone().requires_grad_()
        value = loss(own, labels, annotated, SMOOTHING)
        (gradient,) = torch.autograd.grad(3 * value, own)
        found.append(value)
        gradients.append(gradient)
    torch.testing.assert_close(*found)
    torch.testing.assert_close(*gradients)
    assert (gradients[1] == 0).all() == (known == "none")


def test_an_absent_class_gives_what_it_gives_in_the_two_losses() -> None:
    labels = torch.zeros(1, 1, 2, 2, 2, dtype=torch.int16)
    logits = torch.zeros(1, 3, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    value = dice_and_entropy(logits, labels, labels >= 0, SMOOTHING)
    # Both structures are absent and predicted with 1/3 everywhere: Dice is nearly 0; the entropy is ln 3.
    dice = SMOOTHING / (8 / 3 + SMOOTHING)
    torch.testing.assert_close(value.item(), 1 - dice + torch.tensor(3.0).log().item())
    value.backward()
    assert logits.grad is not None
    assert logits.grad.dtype is torch.float64


def test_half_precision_logits_get_gradients_of_their_own_type() -> None:
    logits = torch.randn(1, 2, 3, 3, 3, dtype=torch.bfloat16, requires_grad=True)
    labels = torch.ones(1, 1, 3, 3, 3, dtype=torch.int16)
    dice_and_entropy(logits, labels, labels >= 0, SMOOTHING).backward()
    assert logits.grad is not None
    assert logits.grad.dtype is torch.bfloat16
