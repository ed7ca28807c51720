"""Steps beside those of MONAI's own engine, and the gradients of a semi-supervised step worked out by hand."""

import copy
import math
import sys
from typing import Any

import pytest
import torch
from torch import nn

from activelabel.recipes import SemiSupervisedSettings
from activelabel.training.engine.steps import (
    Learner,
    MixedPrecision,
    SemiSupervisedStep,
    Step,
    TakeStep,
    supervised_step,
)
from activelabel.training.losses.by_name import UNANNOTATED, MarkedLabelLoss, build_loss

CPU = torch.device("cpu")


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv3d(1, 2, 3, padding=1)
        self.computed_in: torch.dtype | None = None

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits = self.layer(image)
        self.computed_in = logits.dtype
        return logits


def batches() -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(3, 2, 1, 6, 6, 6, generator=generator)
    return [{"image": image, "label": (image > 0.3).to(torch.uint8)} for image in images]


@pytest.fixture
def network() -> Network:
    torch.manual_seed(1)
    return Network()


def learner_of(network: nn.Module, rate: float = 0.5, dtype: torch.dtype = torch.float32) -> Learner:
    precision = MixedPrecision(CPU, dtype)
    optimizer = torch.optim.SGD(network.parameters(), lr=rate)
    return Learner(network, MarkedLabelLoss(build_loss("dice_ce")), optimizer, precision, precision.scaler())


def trained(network: nn.Module, dtype: torch.dtype = torch.float32) -> list[float]:
    """Train for four epochs; return the losses of all steps."""
    learner = learner_of(network, dtype=dtype)
    return [supervised_step(learner, batch).loss.item() for _ in range(4) for batch in batches()]


@pytest.fixture
def engine_of_monai(monkeypatch: pytest.MonkeyPatch) -> Any:
    """MONAI's engine with ignite, which other tests are imported without."""
    for name in list(sys.modules):
        if name.partition(".")[2].partition(".")[0] in ("engines", "handlers") and name.startswith("monai."):
            monkeypatch.delitem(sys.modules, name)
    from monai.engines import SupervisedTrainer

    return SupervisedTrainer


def trained_by_monai(network: nn.Module, engine: Any) -> None:
    engine(
        device=CPU,
        max_epochs=4,
        train_data_loader=batches(),
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.5),
        loss_function=MarkedLabelLoss(build_loss("dice_ce")),
    ).run()


def test_a_step_is_that_of_monais_engine(network: Network, engine_of_monai: Any) -> None:
    other = copy.deepcopy(network)
    losses = trained(network)
    trained_by_monai(other, engine_of_monai)
    torch.testing.assert_close(network.layer.weight, other.layer.weight, rtol=0, atol=1e-6)
    assert losses[-1] < losses[0]


def test_training_in_bfloat16_goes_the_way_of_float32(network: Network) -> None:
    start, other = network.layer.weight.detach().clone(), copy.deepcopy(network)
    trained(network, torch.bfloat16)
    trained(other)

    assert (network.computed_in, other.computed_in) == (torch.bfloat16, torch.float32)
    assert network.layer.weight.dtype is torch.float32
    assert (network.layer.weight - start).abs().max() > 0.1
    torch.testing.assert_close(network.layer.weight, other.layer.weight, atol=0.02, rtol=0)


class Signs(nn.Module):
    """Logits of foreground: `positive` times a voxel above 0, `negative` times one below. Records its calls.

    Images above 0 thus have a gradient with respect to `positive` only, images below 0 with respect to `negative`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.positive, self.negative = (nn.Parameter(torch.tensor(weight)) for weight in (0.7, 0.3))
        self.calls: list[tuple[int, bool, bool]] = []

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.calls.append((len(image), self.training, torch.is_grad_enabled()))
        foreground = self.positive * image.clamp_min(0) + self.negative * (-image).clamp_min(0)
        return torch.cat([torch.zeros_like(foreground), foreground], dim=1)


def pairs(plain: float, augmented: float, label: int = -1, count: int = 1) -> list[dict[str, torch.Tensor]]:
    """Return two annotated patches, all of `label`, beside three pairs of views, one value each."""
    image, view = torch.full((2, 1, 2, 2, 2), 0.5), torch.ones(3, 1, 2, 2, 2)
    labels = torch.full((2, 1, 2, 2, 2), label, dtype=torch.int16)
    return [{"image": image, "label": labels, "plain": plain * view, "augmented": augmented * view}] * count


def fine_tuned(
    network: nn.Module, data: list[dict[str, torch.Tensor]], settings: SemiSupervisedSettings | None
) -> list[Step]:
    """Take one step per batch; without settings on annotated patches only."""
    learner = learner_of(network, rate=1.0)
    take: TakeStep = supervised_step if settings is None else SemiSupervisedStep(settings, "dice_ce")
    return [take(learner, batch) for batch in data]


ONLY_CONSISTENCY = SemiSupervisedSettings(alpha=0, beta=1)


def test_the_augmented_view_has_a_gradient_and_the_plain_one_none() -> None:
    network = Signs()

    fine_tuned(network, pairs(plain=2.0, augmented=-1.0), ONLY_CONSISTENCY)

    assert network.positive.item() == pytest.approx(0.7, abs=1e-7)  # the call for the plain views
    # The plain view predicts foreground with more certainty than the augmented one, whose logit grows with the weight.
    assert network.negative.item() > 0.3


def test_the_gradient_of_the_consistency_worked_out_by_hand() -> None:
    """Each voxel is alike: p = σ(1.4) of the plain view, q = σ(0.3) of the augmented one.

    The loss is -p ln q - (1-p) ln(1-q) + 1 - 2pq / (p+q); its derivative by the augmented view's logit z, where
    dq/dz = q (1-q), is (q - p) - 2p² / (p+q)² · q (1-q). The logit is the weight itself: a step of 1 subtracts it.
    """
    network = Signs()
    p, q = (1 / (1 + math.exp(-z)) for z in (1.4, 0.3))
    gradient = (q - p) - 2 * p**2 / (p + q) ** 2 * q * (1 - q)

    (step,) = fine_tuned(network, pairs(plain=2.0, augmented=-1.0), ONLY_CONSISTENCY)

    assert network.negative.item() == pytest.approx(0.3 - gradient, abs=1e-5)
    loss = -p * math.log(q) - (1 - p) * math.log(1 - q) + 1 - 2 * p * q / (p + q)
    assert step.loss.item() == pytest.approx(loss, abs=1e-5)


def test_beta_weighs_the_consistency() -> None:
    steps = []
    for beta in (1.0, 0.001):
        network = Signs()
        fine_tuned(network, pairs(plain=2.0, augmented=-1.0), SemiSupervisedSettings(alpha=0, beta=beta))
        steps.append(network.negative.item() - 0.3)

    assert steps[1] == pytest.approx(0.001 * steps[0], rel=1e-3)


def test_the_plain_view_is_predicted_without_dropout_and_gradient_the_others_together() -> None:
    network = Signs()

    fine_tuned(network, pairs(plain=2.0, augmented=-1.0), ONLY_CONSISTENCY)

    assert network.calls == [(3, False, False), (2 + 3, True, True)]


def test_the_logits_of_a_step_are_those_of_the_annotated_patches() -> None:
    (step,) = fine_tuned(Signs(), pairs(plain=2.0, augmented=-1.0, label=1), SemiSupervisedSettings())

    assert step.logits.shape == (2, 2, 2, 2, 2)
    assert step.logits[:, 1].unique().tolist() == pytest.approx([0.35])
    assert not step.logits.requires_grad


def test_without_beta_fine_tuning_is_supervised_fine_tuning(network: Network) -> None:
    """The supervised step on the same patches, without any views, over several steps of real gradients."""
    generator = torch.Generator().manual_seed(3)
    data = [
        {**batch, **{view: torch.randn(3, 1, 6, 6, 6, generator=generator) for view in ("plain", "augmented")}}
        for batch in batches()
    ]
    reference, start = copy.deepcopy(network), copy.deepcopy(network.state_dict())

    semi_supervised = fine_tuned(network, data, SemiSupervisedSettings(beta=0))
    supervised = fine_tuned(reference, data, None)

    assert (network.layer.weight - start["layer.weight"]).abs().max() > 0.2
    torch.testing.assert_close(network.state_dict(), reference.state_dict(), rtol=0, atol=1e-6)
    losses = [[step.loss.item() for step in steps] for steps in (semi_supervised, supervised)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


def test_voxels_that_are_not_annotated_do_not_change_the_step() -> None:
    network = Signs()

    fine_tuned(network, pairs(plain=2.0, augmented=-1.0, label=UNANNOTATED), SemiSupervisedSettings(beta=0))

    assert (network.positive.item(), network.negative.item()) == pytest.approx((0.7, 0.3))


def test_fine_tuning_in_bfloat16_goes_the_way_of_float32(network: Network) -> None:
    """Weights converted for the plain view, which has no gradient, must not be reused for the other views."""
    data = [{**batch, "plain": batch["image"], "augmented": batch["image"] + 0.5} for batch in batches()]
    start = copy.deepcopy(network.state_dict())
    weights, step = [], SemiSupervisedStep(SemiSupervisedSettings(beta=1), "dice_ce")
    for dtype in (torch.bfloat16, torch.float32):
        network.load_state_dict(start)
        learner = learner_of(network, 1.0, dtype)
        for batch in data:
            step(learner, batch)
        assert network.computed_in is dtype
        weights.append(network.layer.weight.detach().clone())

    assert (weights[1] - start["layer.weight"]).abs().max() > 0.2
    torch.testing.assert_close(weights[0], weights[1], atol=0.02, rtol=0)
