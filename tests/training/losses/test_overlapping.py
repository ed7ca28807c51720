"""Losses of structures that overlap: those of two classes for each structure, by hand, and blind where unannotated."""

import math

import pytest
import torch
from torch import Tensor

from activelabel.data.labels.label_texts import parse_labels
from activelabel.errors import NotFoundError
from activelabel.training.losses.by_name import LOSSES, UNANNOTATED, MarkedLabelLoss, build_loss
from activelabel.training.losses.overlapping import OVERLAPPING_LOSSES, OverlappingLoss, structures_of
from activelabel.training.semi_supervised import ConsistencyLoss

LITS = parse_labels(["liver=1+2", "tumour=2"], "test")


def batch(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (2, 2, 4, 5, 3) of two structures, parts 0 to 2, and where they are annotated."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 2, 4, 5, 3, generator=generator)
    parts = torch.randint(0, 3, (2, 1, 4, 5, 3), generator=generator)
    return logits, parts, torch.rand(2, 1, 4, 5, 3, generator=generator) < 0.4


def test_every_loss_has_a_form_for_structures_that_overlap() -> None:
    assert OVERLAPPING_LOSSES.keys() == LOSSES.keys()
    with pytest.raises(NotFoundError, match=r"training\.loss 'other' does not exist: use one of bce, dice"):
        OverlappingLoss("other", torch.ones(2, 1, dtype=torch.bool))


def test_parts_are_the_sets_of_structures() -> None:
    parts = torch.tensor([0, 1, 2]).view(1, 1, 3)
    assert structures_of(parts, torch.from_numpy(LITS.membership)).tolist() == [[[0, 1, 1], [0, 0, 1]]]


@pytest.mark.parametrize("name", ["bce", "dice", "dice_ce", "partial_dice"])
def test_each_structure_counts_like_two_classes_that_exclude_each_other(name: str) -> None:
    logits, parts, annotated = batch(0)
    wanted = structures_of(parts, torch.from_numpy(LITS.membership))
    of_each = [
        build_loss(name)(
            torch.stack([torch.zeros_like(logits[:, index]), logits[:, index]], dim=1),
            wanted[:, index : index + 1].long(),
            annotated,
        )
        for index in range(2)
    ]
    torch.testing.assert_close(build_loss(name, LITS)(logits, parts, annotated), torch.stack(of_each).mean())


def test_dice_of_patches_by_hand() -> None:
    logits = torch.tensor([0.0, math.log(3)]).view(1, 2, 1).expand(2, 2, 1)  # probabilities 0.5 and 0.75
    parts, annotated = torch.tensor([1, 2]).view(2, 1, 1), torch.ones(2, 1, 1, dtype=torch.bool)
    # liver: 1 - 2 * .5 / 1.5 in both patches; tumour: 1 where it is not, 1 - 1.5 / 1.75 where it is
    dice = (2 * (1 - 1 / 1.5) + 1 + (1 - 1.5 / 1.75)) / 4
    cross_entropy = (2 * math.log(2) + math.log(4) - math.log(0.75)) / 4
    loss = build_loss("patch_dice_ce", LITS)(logits, parts, annotated)
    assert loss.item() == pytest.approx(dice + cross_entropy, abs=1e-4)


@pytest.mark.parametrize("name", sorted(OVERLAPPING_LOSSES))
def test_unannotated_voxels_have_no_gradient_and_their_labels_no_influence(name: str) -> None:
    logits, parts, annotated = batch(1)
    results = []
    for other in (UNANNOTATED, 2):
        leaf = logits.clone().requires_grad_()
        loss = MarkedLabelLoss(build_loss(name, LITS)) if other < 0 else build_loss(name, LITS)
        arguments = (leaf, torch.where(annotated, parts, other), annotated)
        value = loss(*arguments[:2]) if other < 0 else loss(*arguments)
        value.backward()
        assert leaf.grad is not None
        assert not leaf.grad[~annotated.expand_as(logits)].any()
        results.append(value.detach())
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("name", sorted(OVERLAPPING_LOSSES))
def test_with_nothing_annotated_the_loss_is_0_and_has_no_gradient(name: str) -> None:
    logits, parts, annotated = batch(2)
    leaf = logits.requires_grad_()
    loss = build_loss(name, LITS)(leaf, parts, torch.zeros_like(annotated))
    loss.backward()
    assert leaf.grad is not None
    assert not leaf.grad.any()
    if name != "patch_dice_ce":
        assert loss.item() == 0


def test_wrong_shapes_are_named() -> None:
    logits, parts, annotated = batch(3)
    with pytest.raises(ValueError, match=r"logits: expected \(B, 2, \*S\), got \(2, 3"):
        build_loss("dice", LITS)(torch.cat([logits, logits[:, :1]], dim=1), parts, annotated)
    with pytest.raises(ValueError, match="labels: expected shape"):
        build_loss("dice", LITS)(logits, parts[:, 0], annotated)


def test_two_certain_views_that_agree_have_no_consistency_loss() -> None:
    certain = torch.tensor([30.0, -30.0]).view(1, 2, 1).expand(1, 2, 8)
    loss = ConsistencyLoss(overlapping=True)
    assert loss(certain, certain).item() == pytest.approx(0, abs=1e-4)
    assert loss(certain, -certain).item() > 10
