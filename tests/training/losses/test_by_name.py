import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.losses import DiceCELoss, DiceLoss
from torch import nn

from activelabel.errors import NotFoundError
from activelabel.training.losses.by_name import (
    LOSSES,
    UNANNOTATED,
    MarkedLabelLoss,
    PartialBinaryCrossEntropy,
    PartialCrossEntropy,
    PartialDiceLoss,
    build_loss,
)

LIKE_MONAI = {"include_background": False, "to_onehot_y": True, "softmax": True, "batch": True}


def logits_of(probability: torch.Tensor) -> torch.Tensor:
    """Return logits (B, 2, *S) whose softmax gives the foreground this probability (B, *S)."""
    return torch.stack([torch.zeros_like(probability), torch.logit(probability)], dim=1)


def random_batch(seed: int, classes: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, 4, 5, 3, generator=generator)
    labels = torch.randint(0, classes, (2, 1, 4, 5, 3), generator=generator)
    annotated = torch.rand(2, 1, 4, 5, 3, generator=generator) < 0.4
    return logits, labels, annotated


def loss_and_gradient(
    logits: torch.Tensor, labels: torch.Tensor, annotated: torch.Tensor, name: str = "partial_dice"
) -> tuple[torch.Tensor, torch.Tensor]:
    logits = logits.clone().requires_grad_()
    loss = build_loss(name)(logits, labels, annotated)
    loss.backward()
    return loss.detach(), logits.grad


def test_a_batch_worked_out_by_hand() -> None:
    probability = torch.tensor([[[0.5, 0.25]], [[0.75, 0.5]]])
    labels = torch.tensor([[[1, 1]], [[1, 0]]])[:, None]
    annotated = torch.tensor([[[1, 0]], [[1, 1]]])[:, None]

    loss = PartialDiceLoss()(logits_of(probability), labels, annotated)

    # Σwyp = 0.5 + 0.75, Σwy = 2, Σwp = 0.5 + 0.75 + 0.5: 1 - 2.5 / 3.75 = 1/3
    assert loss.item() == pytest.approx(1 / 3, abs=1e-6)


def test_several_classes_have_equal_weight() -> None:
    logits = torch.log(torch.tensor([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]])).T[None, :, :, None]
    labels = torch.tensor([1, 2]).view(1, 1, 2, 1)

    loss = PartialDiceLoss()(logits, labels, torch.ones_like(labels))

    # class 1: 1 - 2*0.5 / (1 + 0.6); class 2: 1 - 2*0.8 / (1 + 1.1)
    assert loss.item() == pytest.approx((1 - 1 / 1.6 + 1 - 1.6 / 2.1) / 2, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("partial_dice", DiceLoss(**LIKE_MONAI, smooth_nr=0, smooth_dr=1e-30)),
        ("dice", DiceLoss(**LIKE_MONAI)),
        ("dice_ce", DiceCELoss(**LIKE_MONAI)),
        ("patch_dice_ce", DiceCELoss(to_onehot_y=True, softmax=True)),
    ],
)
@pytest.mark.parametrize("absent", [False, True], ids=["all classes there", "one class nowhere"])
def test_the_losses_of_full_annotations_equal_monais(name: str, reference: nn.Module, absent: bool) -> None:
    logits, labels, annotated = random_batch(0)
    labels = labels.clamp_max(1) if absent else labels

    ours, gradient = loss_and_gradient(logits, labels, torch.ones_like(annotated), name)
    logits = logits.clone().requires_grad_()
    theirs = reference(logits, labels)
    theirs.backward()

    torch.testing.assert_close(ours, theirs.detach())
    torch.testing.assert_close(gradient, logits.grad)


def test_cross_entropies_worked_out_by_hand() -> None:
    """Foreground probabilities 0.25 and 0.9 of voxels that are foreground and background, and one not annotated."""
    logits = logits_of(torch.tensor([[0.25, 0.9, 0.5]]))
    labels, annotated = torch.tensor([[[1, 0, 1]]]), torch.tensor([[[1, 1, 0]]])
    expected = -(math.log(0.25) + math.log(0.1)) / 2

    for loss in (PartialCrossEntropy(), PartialBinaryCrossEntropy()):
        assert loss(logits, labels, annotated).item() == pytest.approx(expected, abs=1e-6)


def test_binary_cross_entropy_sets_each_class_against_the_rest() -> None:
    logits, labels, annotated = random_batch(4, classes=4)
    probabilities = logits.double().softmax(dim=1)
    terms = []
    for value in (1, 2, 3):
        p = probabilities[:, value : value + 1]
        terms.append(torch.where(labels == value, -p.log(), -(1 - p).log())[annotated].mean())

    loss = PartialBinaryCrossEntropy()(logits, labels, annotated)

    assert loss.item() == pytest.approx(torch.stack(terms).mean().item(), rel=1e-5)


@settings(deadline=None, max_examples=50)
@given(name=st.sampled_from(sorted(LOSSES)), seed=st.integers(0, 10_000), shift=st.integers(1, 255))
def test_labels_that_are_not_annotated_change_no_bit(name: str, seed: int, shift: int) -> None:
    logits, labels, annotated = random_batch(seed)
    other = torch.where(annotated, labels, (labels + shift) % 256)

    loss, gradient = loss_and_gradient(logits, labels, annotated, name)
    other_loss, other_gradient = loss_and_gradient(logits, other, annotated, name)

    assert torch.equal(loss, other_loss)
    assert torch.equal(gradient, other_gradient)
    assert not gradient[~annotated.expand_as(gradient)].any()
    assert gradient.any() or not annotated.any()


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_with_nothing_annotated_loss_and_gradient_are_zero(name: str) -> None:
    logits, labels, annotated = random_batch(0)

    loss, gradient = loss_and_gradient(logits, labels, torch.zeros_like(annotated), name)

    assert loss.item() == 0
    assert torch.equal(gradient, torch.zeros_like(logits))


def test_a_class_that_is_nowhere_has_loss_1() -> None:
    logits, labels, annotated = random_batch(0, classes=2)

    assert PartialDiceLoss()(logits, torch.zeros_like(labels), torch.ones_like(annotated)).item() == 1


@pytest.mark.parametrize(("name", "worst"), [("partial_dice", 1), ("dice", 1), ("dice_ce", 1e4 + 1), ("bce", 1e4)])
def test_certain_logits_give_finite_numbers(name: str, worst: float) -> None:
    labels = torch.ones(1, 1, 2, 2, 2, dtype=torch.long)
    for foreground in (-1e4, 1e4):
        logits = torch.stack([torch.zeros(2, 2, 2), torch.full((2, 2, 2), foreground)])[None]
        loss, gradient = loss_and_gradient(logits, labels, torch.ones_like(labels), name)
        assert loss.item() == pytest.approx(worst if foreground < 0 else 0, abs=2e-6)
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_half_precision_logits_are_summed_in_single_precision(name: str) -> None:
    logits, labels, annotated = random_batch(1)

    loss = build_loss(name)(logits.bfloat16(), labels, annotated)

    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, build_loss(name)(logits.bfloat16().float(), labels, annotated))


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_mark_in_the_label_says_where_nothing_is_annotated(name: str) -> None:
    logits, labels, annotated = random_batch(3)
    marked = torch.where(annotated, labels, UNANNOTATED).to(torch.int16)

    loss = MarkedLabelLoss(build_loss(name))(logits, marked)

    assert torch.equal(loss, build_loss(name)(logits, labels, annotated))


def test_the_255th_class_of_a_label_in_bytes_is_no_mark() -> None:
    logits, labels = torch.zeros(1, 256, 2, 2), torch.full((1, 1, 2, 2), 255, dtype=torch.uint8)

    loss = MarkedLabelLoss(PartialCrossEntropy())(logits, labels)

    assert loss.item() == pytest.approx(math.log(256), rel=1e-6)


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize(
    ("logits", "labels", "annotated", "expected"),
    [
        ((1, 1, 4, 4), (1, 1, 4, 4), (1, 1, 4, 4), "at least 2 classes"),
        ((1, 2, 4, 4), (1, 4, 4), (1, 1, 4, 4), "labels: expected shape"),
        ((1, 2, 4, 4), (1, 1, 4, 4), (1, 2, 4, 4), "annotated: expected shape"),
    ],
)
def test_shapes_that_do_not_belong_together_are_refused(
    name: str, logits: tuple[int, ...], labels: tuple[int, ...], annotated: tuple[int, ...], expected: str
) -> None:
    with pytest.raises(ValueError, match=expected):
        build_loss(name)(torch.zeros(logits), torch.zeros(labels), torch.zeros(annotated))


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_loss_decreases_as_the_prediction_becomes_right(name: str) -> None:
    _, labels, _ = random_batch(2)
    right = torch.nn.functional.one_hot(labels[:, 0], 3).movedim(-1, 1).float()

    annotated = torch.ones_like(labels)
    losses = [build_loss(name)(certainty * right, labels, annotated).item() for certainty in (-8, 0, 8)]

    assert losses[0] > losses[1] > losses[2]
    assert losses[2] < 0.02


def test_an_unknown_loss_lists_the_known_ones() -> None:
    with pytest.raises(NotFoundError, match="'focal' does not exist: use one of bce, dice, dice_ce, partial_dice"):
        build_loss("focal")


def test_monais_default_counts_each_patch_and_the_background_by_hand() -> None:
    """Two patches of two voxels, p of foreground; one voxel is not annotated."""
    probability = torch.tensor([[[0.5, 0.25]], [[0.75, 0.5]]])
    labels = torch.tensor([[[1, 0]], [[0, 0]]])[:, None]
    annotated = torch.tensor([[[1, 1]], [[1, 0]]])[:, None]

    loss = build_loss("patch_dice_ce")(logits_of(probability), labels, annotated)

    # First patch: foreground 1 - 2*0.5 / (1 + 0.75), background 1 - 2*0.75 / (1 + 1.25). Second, of one voxel:
    # foreground 1 - 0 / (0 + 0.75), background 1 - 2*0.25 / (1 + 0.25).
    dice = (1 - 1 / 1.75) + (1 - 1.5 / 2.25) + 1 + (1 - 0.5 / 1.25)
    cross_entropy = -(math.log(0.5) + math.log(0.75) + math.log(0.25)) / 3
    assert loss.item() == pytest.approx(dice / 4 + cross_entropy, abs=1e-4)


def test_patch_dice_ce_differs_from_dice_ce() -> None:
    logits, labels, annotated = random_batch(0)
    everywhere = torch.ones_like(annotated)
    ours, default = (loss_and_gradient(logits, labels, everywhere, name)[0] for name in ("dice_ce", "patch_dice_ce"))
    assert abs(float(ours - default)) > 1e-3
