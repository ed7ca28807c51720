from collections.abc import Callable

import pytest
import torch
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.handlers import MeanDice, from_engine
from monai.transforms import AsDiscreted
from torch import nn

from activelabel.training.iterations import bfloat16_training_step, bfloat16_validation_step
from activelabel.training.losses import MarkedLabelLoss, build_loss

ONE_HOT = AsDiscreted(keys=("pred", "label"), argmax=(True, False), to_onehot=(2, 2))
EVENTS = (
    IterationEvents.FORWARD_COMPLETED,
    IterationEvents.LOSS_COMPLETED,
    IterationEvents.BACKWARD_COMPLETED,
    IterationEvents.MODEL_COMPLETED,
)


class Network(nn.Module):
    """A convolution that remembers what type it computed in."""

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
