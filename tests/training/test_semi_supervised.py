import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from activelabel.recipes import Loss
from activelabel.training.losses.by_name import build_loss
from activelabel.training.semi_supervised import ConsistencyLoss, most_certain, noisy_label, total_loss

CERTAIN = 40.0  # a logit so large that its softmax is 0 or 1 to single precision


def views(*probabilities: float) -> torch.Tensor:
    """Return logits (1, 2, n, 1, 1) whose foreground has these probabilities."""
    p = torch.tensor(probabilities)
    return torch.stack([(1 - p).log(), p.log()])[None, :, :, None, None]


def certain(*classes: int, of: int = 3) -> torch.Tensor:
    """Return logits (1, C, n, 1, 1) that are certain of these classes."""
    return CERTAIN * torch.nn.functional.one_hot(torch.tensor(classes), of).T[None, :, :, None, None].float()


def test_a_noisy_label_is_foreground_only_above_the_threshold() -> None:
    """Columns: at τ; above; the other class above; most probable but below; background."""
    probabilities = torch.tensor(
        [
            [0.10, 0.05, 0.01, 0.20, 0.97],
            [0.90, 0.91, 0.02, 0.60, 0.02],
            [0.00, 0.04, 0.97, 0.20, 0.01],
        ]
    )

    assert noisy_label(probabilities, 0.9).tolist() == [0, 1, 2, 0, 0]
    assert noisy_label(probabilities, 0.5).tolist() == [1, 1, 2, 1, 0]


def test_below_a_half_the_most_probable_foreground_class_counts_also_where_background_is_more_probable() -> None:
    assert noisy_label(torch.tensor([[0.6], [0.15], [0.25]]), 0.2).tolist() == [2]


def test_a_noisy_label_keeps_the_shape_of_a_volume() -> None:
    assert noisy_label(torch.rand(3, 4, 5, 6), 0.9).shape == (4, 5, 6)


@pytest.mark.parametrize("threshold", [-0.1, 1.0])
def test_a_threshold_outside_its_range_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold must be 0 or more and below 1"):
        noisy_label(torch.rand(2, 3), threshold)


def test_a_noisy_label_needs_a_foreground_class() -> None:
    with pytest.raises(ValueError, match=r"at least 2 classes, got \(1, 3\)"):
        noisy_label(torch.rand(1, 3), 0.9)


def test_as_many_certain_volumes_as_there_are_annotated_ones() -> None:
    scores = {"e": 0.5, "b": 0.1, "d": 0.1, "a": 0.9, "c": 0.0}

    assert most_certain(scores, 3) == ["c", "b", "d"]
    assert most_certain(scores, 9) == ["c", "b", "d", "e", "a"]
    assert most_certain({}, 4) == []


def test_an_undefined_score_names_its_volume() -> None:
    with pytest.raises(ValueError, match="'b' is NaN"):
        most_certain({"a": 0.0, "b": math.nan}, 1)


@pytest.mark.parametrize("classes", [(0, 1, 2, 1), (0, 0, 0, 0), (2, 2, 2, 2)])
def test_two_equal_certain_views_cost_nothing(classes: tuple[int, ...]) -> None:
    assert ConsistencyLoss()(certain(*classes), certain(*classes)).item() == pytest.approx(0, abs=1e-6)


def test_two_views_worked_out_by_hand() -> None:
    """p = (0.8, 0.4), q = (0.5, 0.25).

    Cross-entropy: -(0.8 ln 0.5 + 0.2 ln 0.5 + 0.4 ln 0.25 + 0.6 ln 0.75) / 2. Dice: 1 - 2 (0.4 + 0.1) / (1.2 + 0.75).
    """
    expected = -(math.log(0.5) + 0.4 * math.log(0.25) + 0.6 * math.log(0.75)) / 2 + 1 - 1 / 1.95

    assert ConsistencyLoss()(views(0.8, 0.4), views(0.5, 0.25)).item() == pytest.approx(expected, abs=1e-5)


def test_two_equal_uncertain_views_cost_their_entropy_and_a_dice_above_0() -> None:
    """p = q = 0.5: ln 2, and 1 - 2 · 0.25 / 1."""
    assert ConsistencyLoss()(views(0.5), views(0.5)).item() == pytest.approx(math.log(2) + 0.5, abs=1e-5)


def test_the_loss_grows_with_disagreement() -> None:
    plain = certain(1, 1, of=2)
    losses = [ConsistencyLoss()(plain, views(q, q)).item() for q in (0.99, 0.9, 0.6, 0.3, 0.1)]

    assert losses == sorted(losses)
    assert losses[0] < 0.02
    # Two certain views of opposite classes cost the logit's 40 nats, and have no overlap.
    assert ConsistencyLoss()(plain, certain(0, 0, of=2)).item() == pytest.approx(CERTAIN + 1, abs=1e-3)


@given(st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_no_prediction_agrees_better_with_a_certain_view_than_the_view_itself(q: float, further: float) -> None:
    plain = certain(1, of=2)
    near, far = max(q, further), min(q, further)

    assert ConsistencyLoss()(plain, views(near)) <= ConsistencyLoss()(plain, views(far))


def test_the_augmented_view_learns_and_the_plain_one_does_not() -> None:
    plain, augmented = views(0.8, 0.4).requires_grad_(), views(0.5, 0.25).requires_grad_()

    ConsistencyLoss()(plain, augmented).backward()

    assert plain.grad is None
    assert augmented.grad is not None
    # Foreground of the plain view is more probable in both voxels: descent raises the augmented view's logits.
    assert (augmented.grad[0, 1] < 0).all()


@pytest.mark.parametrize("supervised", ["dice_ce", "patch_dice_ce"])
def test_the_loss_with_a_certain_plain_view_is_the_supervised_loss(supervised: Loss) -> None:
    """nath2022, 3.3: the loss "is the same as in section 3.1". The plain view's classes as a label, all annotated."""
    logits = torch.randn(2, 3, 4, 5, 3, generator=torch.Generator().manual_seed(0))
    label = torch.randint(0, 3, (2, 1, 4, 5, 3), generator=torch.Generator().manual_seed(1))
    plain = CERTAIN * torch.nn.functional.one_hot(label[:, 0], 3).movedim(-1, 1).float()

    expected = build_loss(supervised)(logits, label, torch.ones_like(label))

    torch.testing.assert_close(ConsistencyLoss(supervised)(plain, logits), expected)


def test_patches_by_themselves_worked_out_by_hand() -> None:
    """Two patches of one voxel, p = 0.8 and 0.4, q = 0.5 and 0.25, with the background as a class of its own.

    Dice: the mean of 1 - 2pq / (p + q) over patches and classes; together both patches had 1 - 1 / 1.95.
    """
    plain, augmented = torch.cat([views(0.8), views(0.4)]), torch.cat([views(0.5), views(0.25)])
    entropy = -(math.log(0.5) + 0.4 * math.log(0.25) + 0.6 * math.log(0.75)) / 2
    pairs = [(0.8, 0.5), (0.2, 0.5), (0.4, 0.25), (0.6, 0.75)]
    dice = sum(1 - 2 * p * q / (p + q) for p, q in pairs) / 4

    assert ConsistencyLoss("patch_dice_ce")(plain, augmented).item() == pytest.approx(entropy + dice, abs=1e-5)


@pytest.mark.parametrize(("plain", "augmented"), [((1, 2, 4, 4), (1, 2, 4, 5)), ((1, 1, 4, 4), (1, 1, 4, 4))])
def test_views_that_do_not_belong_together_are_refused(plain: tuple[int, ...], augmented: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"views: expected logits \(B, C, \*S\) of one shape"):
        ConsistencyLoss()(torch.zeros(plain), torch.zeros(augmented))


def test_the_total_is_weighted() -> None:
    supervised, consistency = torch.tensor(0.5), torch.tensor(2.0)

    assert total_loss(supervised, consistency, alpha=1, beta=0.001).item() == pytest.approx(0.502)
    assert total_loss(supervised, consistency, alpha=2, beta=0).item() == pytest.approx(1.0)
