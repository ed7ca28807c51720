"""Networks that do not see where a window ends."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from trained_step import assert_it_trains

from activelabel.networks import build_network
from activelabel.networks.padding import RepeatedTranspose
from activelabel.networks.smoothing import Smooth
from activelabel.prediction.sharing import split_before_dropout
from activelabel.recipes import NetworkSettings

KINDS = {
    "unet": {"upsampling": "smoothed", "residual_units": 0},
    "unet with units": {"upsampling": "smoothed", "residual_units": 2},
    "unet2d": {"upsampling": "smoothed", "residual_units": 0},
    "residual_unet": {"residual_units": 1},
    "anisotropic_unet": {"residual_units": 0},
}


def settings_of(kind: str, padding: str) -> NetworkSettings:
    """Three levels; batch normalisation, as instance normalisation would make a constant image zero."""
    return NetworkSettings.model_validate(
        {"kind": kind.split()[0], "channels": (4, 8, 8), "strides": (2, 2), "normalisation": "batch"}
        | {"padding": padding}
        | KINDS[kind]
    )


def network_of(settings: NetworkSettings) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_network(settings, classes=3).eval()


def apart(logits: Tensor) -> float:
    """The largest difference of two voxels that are 4 apart, the period of two strides of 2."""
    axes = (2, 3, 4)
    return max(float((logits - logits.roll(4, axis)).abs().max()) for axis in axes)


def without_pattern(network: nn.Module) -> nn.Module:
    """The network with layers that repeat each voxel where they upsample by kernels of the size of their stride.

    Such kernels, with random weights, leave a pattern that is another one where its last voxel is repeated.
    """
    for layer in network.modules():
        if isinstance(layer, nn.ConvTranspose3d) and layer.kernel_size == layer.stride:
            layer.weight.copy_(layer.weight.mean(dim=(2, 3, 4), keepdim=True).expand_as(layer.weight))
    return network


@pytest.mark.parametrize("kind", KINDS)
def test_the_ends_of_a_constant_image_are_predicted_as_its_middle(kind: str) -> None:
    image = torch.full((2, 1, 16, 24, 16), 0.7)
    with torch.no_grad():
        assert apart(without_pattern(network_of(settings_of(kind, "repeated")))(image)) < 1e-6
        assert apart(without_pattern(network_of(settings_of(kind, "zeros")))(image)) > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_neither_weights_nor_the_middle_of_a_prediction(kind: str) -> None:
    """The first and the second network have the same state, and agree where neither sees the ends."""
    zeros, repeated = (network_of(settings_of(kind, padding)) for padding in ("zeros", "repeated"))
    assert [(name, value.shape) for name, value in zeros.state_dict().items()] == [
        (name, value.shape) for name, value in repeated.state_dict().items()
    ]
    assert all(
        torch.equal(a, b) for a, b in zip(zeros.state_dict().values(), repeated.state_dict().values(), strict=True)
    )
    image = torch.randn(1, 1, 64, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        first, second = zeros(image), repeated(image)
    assert first.shape == second.shape
    torch.testing.assert_close(first[..., 28:36, 28:36, 28:36], second[..., 28:36, 28:36, 28:36])
    assert not torch.allclose(first[..., 0, :, :], second[..., 0, :, :])


@pytest.mark.parametrize("stride", [(2, 2, 2), (2, 2, 1), (1, 1, 1), (3, 2, 1)])
@pytest.mark.parametrize("smoothed", [False, True])
def test_upsampling_equals_that_of_a_longer_input_cut_to_size(stride: tuple[int, ...], smoothed: bool) -> None:
    """Ten voxels more at each end, repeated, and the plain layers; cut to what belongs to the input."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer = nn.ConvTranspose3d(2, 3, 3, stride, padding=1, output_padding=tuple(step - 1 for step in stride))
        values = torch.randn(1, 2, 4, 5, 6)
    longer = functional.pad(values, (10,) * 6, mode="replicate")
    with torch.no_grad():
        expected = Smooth(stride)(layer(longer)) if smoothed else layer(longer)
        for axis, step in enumerate(stride, start=2):
            expected = expected.narrow(axis, 10 * step, values.shape[axis] * step)
        smooth = Smooth(stride) if smoothed else None
        found = RepeatedTranspose(layer, smooth)(values)
        found = smooth(found) if smooth is not None else found
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_repeated_padding_trains_in_either_precision_and_layout(channels_last: bool, precision: torch.dtype) -> None:
    network = network_of(settings_of("unet", "repeated"))
    assert_it_trains(network, channels_last, precision)


def test_layers_before_the_first_dropout_still_run_once_for_all_repeats() -> None:
    network = network_of(settings_of("unet", "repeated"))
    split = split_before_dropout(network, torch.randn(2, 1, 16, 16, 16))
    assert split.shared_fraction > 0
    images = torch.randn(2, 1, 16, 16, 16)
    torch.testing.assert_close(split.repeated(*split.shared(images)), network(images))
