"""Which layers may be replaced, and what all replacements have in common."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from activelabel.prediction.devices.folding import FoldedConvolution
from activelabel.prediction.devices.replaceable import is_plain
from activelabel.prediction.devices.thin_upsampling import ThinUpsampling
from activelabel.training.cpu_layers import with_cpu_layers

LAYERS: list[Callable[[], nn.Module]] = [
    lambda: nn.Conv3d(2, 2, 3, padding=1),
    lambda: nn.Conv3d(64, 8, 3, padding=1),
    lambda: nn.ConvTranspose3d(16, 2, 3, 2, 1, 1),
    lambda: nn.ConvTranspose3d(64, 64, 3, 2, 1, 1),
]


@pytest.mark.parametrize("make", LAYERS)
@pytest.mark.parametrize("norm", [torch.nn.utils.spectral_norm, torch.nn.utils.weight_norm])
def test_a_network_with_a_norm_of_its_weights_keeps_its_state_and_what_is_trained(
    make: Callable[[], nn.Module], norm: Callable[[nn.Module], nn.Module]
) -> None:
    network = nn.Sequential(norm(make()))
    state, trained = list(network.state_dict()), [name for name, _ in network.named_parameters()]
    replaced = with_cpu_layers(network)
    assert list(replaced.state_dict()) == state
    assert [name for name, _ in replaced.named_parameters()] == trained


def test_a_layer_is_plain_if_it_is_of_the_very_type_and_has_no_hook() -> None:
    class Mine(nn.Conv3d):
        """Computes something else, perhaps."""

    layer = nn.Conv3d(2, 2, 3)
    assert is_plain(layer, nn.Conv3d)
    assert not is_plain(layer, nn.ConvTranspose3d)
    assert not is_plain(Mine(2, 2, 3), nn.Conv3d)
    layer.register_forward_hook(lambda *of: None)
    assert not is_plain(layer, nn.Conv3d)


@pytest.mark.parametrize(
    ("layer", "values"),
    [
        (FoldedConvolution(nn.Conv3d(2, 2, 3, padding=1)), torch.ones(1, 2, 4, 4, 4)),
        (ThinUpsampling(nn.ConvTranspose3d(4, 2, 3, 2, 1, 1)), torch.ones(1, 4, 2, 2, 2)),
    ],
)
def test_under_autocast_the_result_has_the_precision_of_the_other_layers(
    layer: FoldedConvolution | ThinUpsampling, values: torch.Tensor
) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        result = layer(values.requires_grad_())
    assert result.dtype is torch.bfloat16
    result.float().sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype is torch.float32
