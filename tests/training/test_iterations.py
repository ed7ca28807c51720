import copy
import math
from collections.abc import Callable

import pytest
import torch
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.handlers import MeanDice, from_engine
from monai.transforms import AsDiscreted
from torch import nn

from activelabel.recipes import SemiSupervisedSettings
from activelabel.training.iterations import SemiSupervisedStep, bfloat16_training_step, bfloat16_validation_step
from activelabel.training.losses import UNANNOTATED, MarkedLabelLoss, build_loss

ONE_HOT = AsDiscreted(keys=("pred", "label"), argmax=(True, False), to_onehot=(2, 2))
EVENTS = (
    IterationEvents.FORWARD_COMPLETED,
    IterationEvents.LOSS_COMPLETED,
    IterationEvents.BACKWARD_COMPLETED,
    IterationEvents.MODEL_COMPLETED,
)


class Network(nn.Module):
    """A convolution that records the type of its computation."""

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


def trained(network: Network, step: Callable[..., object] | None, fired: list[object]) -> SupervisedTrainer:
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=4,
        train_data_loader=batches(),
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.5),
        loss_function=MarkedLabelLoss(build_loss("dice_ce")),
        postprocessing=ONE_HOT,
        key_train_metric={"dice": MeanDice(include_background=False, output_transform=from_engine(["pred", "label"]))},
        iteration_update=step,
    )
    for event in EVENTS:
        trainer.add_event_handler(event, lambda _, event=event: fired.append(event))
    trainer.run()
    return trainer


def test_training_in_bfloat16_goes_the_way_of_float32(network: Network) -> None:
    start = {name: value.clone() for name, value in network.state_dict().items()}
    fired: list[object] = []
    half = trained(network, bfloat16_training_step, fired)
    assert network.computed_in is torch.bfloat16
    weights = network.layer.weight.detach().clone()
    network.load_state_dict(start)
    reference_fired: list[object] = []
    reference = trained(network, None, reference_fired)

    assert network.computed_in is torch.float32
    assert weights.dtype is torch.float32
    assert not torch.equal(weights, start["layer.weight"])
    torch.testing.assert_close(weights, network.layer.weight.detach(), atol=0.02, rtol=0)
    assert half.state.metrics["dice"] == pytest.approx(reference.state.metrics["dice"], abs=0.03)
    assert half.state.metrics["dice"] > 0.8
    assert fired == reference_fired


def test_validation_in_bfloat16_measures_what_float32_measures(network: Network) -> None:
    measured = []
    for step in (bfloat16_validation_step, None):
        evaluator = SupervisedEvaluator(
            device=torch.device("cpu"),
            val_data_loader=batches(),
            network=network,
            postprocessing=ONE_HOT,
            key_val_metric={
                "dice": MeanDice(include_background=False, output_transform=from_engine(["pred", "label"]))
            },
            iteration_update=step,
        )
        evaluator.run()
        measured.append(evaluator.state.metrics["dice"])
        assert network.computed_in is (torch.bfloat16 if step else torch.float32)

    assert measured[0] == pytest.approx(measured[1], abs=0.02)


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


def tuner(
    network: nn.Module, settings: SemiSupervisedSettings | None, data: list[dict[str, torch.Tensor]] | None = None
) -> SupervisedTrainer:
    """Return an engine with one step per batch; without settings, the host's own, which sees annotated patches only."""
    return SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=1,
        train_data_loader=data or [],
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=1.0),
        loss_function=MarkedLabelLoss(build_loss("dice_ce")),
        iteration_update=None if settings is None else SemiSupervisedStep(settings, bfloat16_on_cpu=False),
    )


def fine_tuned(
    network: nn.Module, data: list[dict[str, torch.Tensor]], settings: SemiSupervisedSettings | None
) -> SupervisedTrainer:
    trainer = tuner(network, settings, data)
    trainer.run()
    return trainer


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

    trainer = fine_tuned(network, pairs(plain=2.0, augmented=-1.0), ONLY_CONSISTENCY)

    assert network.negative.item() == pytest.approx(0.3 - gradient, abs=1e-5)
    loss = -p * math.log(q) - (1 - p) * math.log(1 - q) + 1 - 2 * p * q / (p + q)
    assert trainer.state.output[0]["loss"] == pytest.approx(loss, abs=1e-5)


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


def test_the_annotated_patches_alone_are_what_the_engine_is_shown() -> None:
    trainer = fine_tuned(Signs(), pairs(plain=2.0, augmented=-1.0, label=1), SemiSupervisedSettings())

    assert [item["pred"].shape for item in trainer.state.output] == [(2, 2, 2, 2)] * 2
    assert all((item["label"] == 1).all() for item in trainer.state.output)


def test_without_beta_fine_tuning_is_supervised_fine_tuning(network: Network) -> None:
    """The host's own step on the same patches, without any views, over several steps of real gradients."""
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
    assert semi_supervised.state.output[0]["loss"] == pytest.approx(supervised.state.output[0]["loss"], abs=1e-6)


def test_voxels_that_are_not_annotated_do_not_change_the_step() -> None:
    network = Signs()

    fine_tuned(network, pairs(plain=2.0, augmented=-1.0, label=UNANNOTATED), SemiSupervisedSettings(beta=0))

    assert (network.positive.item(), network.negative.item()) == pytest.approx((0.7, 0.3))


def test_fine_tuning_in_bfloat16_goes_the_way_of_float32(network: Network) -> None:
    """Weights converted for the plain view, which has no gradient, must not be reused for the other views."""
    data = [{**batch, "plain": batch["image"], "augmented": batch["image"] + 0.5} for batch in batches()]
    start = copy.deepcopy(network.state_dict())
    weights = []
    for bfloat16 in (True, False):
        network.load_state_dict(start)
        trainer = tuner(network, SemiSupervisedSettings(beta=1))
        step = SemiSupervisedStep(SemiSupervisedSettings(beta=1), bfloat16)
        for batch in data:
            step(trainer, batch)
        assert network.computed_in is (torch.bfloat16 if bfloat16 else torch.float32)
        weights.append(network.layer.weight.detach().clone())

    assert (weights[1] - start["layer.weight"]).abs().max() > 0.2
    torch.testing.assert_close(weights[0], weights[1], atol=0.02, rtol=0)


def test_fine_tuning_fires_the_engines_events_in_their_order() -> None:
    fired: list[object] = []
    trainer = tuner(Signs(), SemiSupervisedSettings())
    for event in EVENTS:
        trainer.add_event_handler(event, lambda _, event=event: fired.append(event))

    SemiSupervisedStep(SemiSupervisedSettings(), bfloat16_on_cpu=False)(trainer, pairs(1.0, 1.0, label=1)[0])

    assert fired == list(EVENTS)
