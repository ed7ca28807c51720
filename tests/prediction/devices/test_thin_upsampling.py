"""Upsampling with few output channels: the function, the state and the gradient of torch's transposed convolution."""

import pytest
import torch
from torch import nn
from trained_step import assert_the_same_in_bfloat16, output_and_gradients

from activelabel.networks import build_network
from activelabel.networks.padding import RepeatedTranspose
from activelabel.networks.smoothing import Smooth
from activelabel.prediction.devices import thin_upsampling
from activelabel.prediction.devices.layout import channels_last_copy
from activelabel.prediction.devices.thin_upsampling import (
    RepeatedThinUpsampling,
    ThinUpsampling,
    is_thin,
    is_thin_repeated,
)
from activelabel.prediction.sharing import split_before_dropout
from activelabel.recipes import load_recipe

DOUBLED, IN_PLANE = (3, 2, 1, 1), ((3, 3, 1), (2, 2, 1), (1, 1, 0), (1, 1, 0))


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "more"), [DOUBLED, IN_PLANE], ids=["three axes doubled", "two axes doubled"]
)
@pytest.mark.parametrize("size", [(4, 5, 3), (1, 2, 1)])
@pytest.mark.parametrize("bias", [True, False])
def test_output_and_gradients_are_those_of_torchs_transposed_convolution(
    kernel: int, stride: int, padding: int, more: int, size: tuple[int, int, int], bias: bool
) -> None:
    torch.manual_seed(0)
    plain = nn.ConvTranspose3d(6, 3, kernel, stride, padding, more, bias=bias)
    assert is_thin(plain)
    quick = ThinUpsampling(plain)
    assert quick.state_dict().keys() == plain.state_dict().keys()
    values = torch.randn(2, 6, *size).to(memory_format=torch.channels_last_3d)
    (output, *gradients), (found, *of_quick) = (output_and_gradients(layer, values) for layer in (plain, quick))
    torch.testing.assert_close(output, found)
    for expected, got in zip(gradients, of_quick, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "more"), [DOUBLED, IN_PLANE], ids=["three axes doubled", "two axes doubled"]
)
def test_in_bfloat16_it_is_torchs_transposed_convolution_which_rounds_once(
    kernel: int, stride: int, padding: int, more: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thin_upsampling, "_Upsampled", None)
    torch.manual_seed(0)
    plain = nn.ConvTranspose3d(16, 3, kernel, stride, padding, more)
    values = torch.randn(2, 16, 4, 5, 3).to(memory_format=torch.channels_last_3d)
    assert_the_same_in_bfloat16(plain, ThinUpsampling(plain), values)


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "more"), [DOUBLED, IN_PLANE], ids=["three axes doubled", "two axes doubled"]
)
@pytest.mark.parametrize("size", [(4, 5, 3), (1, 2, 1)])
def test_output_and_gradients_are_those_of_the_layer_that_repeats_voxels(
    kernel: int, stride: int, padding: int, more: int, size: tuple[int, int, int], smooth: bool
) -> None:
    torch.manual_seed(0)
    layer = nn.ConvTranspose3d(6, 3, kernel, stride, padding, more)
    plain = RepeatedTranspose(layer, Smooth(layer.stride) if smooth else None)
    assert is_thin_repeated(plain)
    quick = RepeatedThinUpsampling(plain)
    assert quick.state_dict().keys() == plain.state_dict().keys()
    values = torch.randn(2, 6, *size).to(memory_format=torch.channels_last_3d)
    found = []
    for each in (plain, quick):
        own = values.clone().requires_grad_()
        output = each(own)
        weights = torch.linspace(-1, 1, output.numel()).view(output.shape)
        found.append([output, *torch.autograd.grad((output * weights).sum(), [own, *each.parameters()])])
    for expected, got in zip(*found, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "layer", [nn.ConvTranspose3d(8, 64, 3, 2, 1, 1), nn.ConvTranspose3d(8, 2, 5, 2, 2, 1)], ids=["many", "kernel of 5"]
)
def test_other_layers_that_repeat_voxels_stay_as_they_are(layer: nn.ConvTranspose3d) -> None:
    assert not is_thin_repeated(RepeatedTranspose(layer))


@pytest.mark.parametrize("recipe", ["quick", "quick_slices"])
def test_the_copy_of_a_network_has_such_layers_gives_its_results_and_can_be_split(recipe: str) -> None:
    torch.manual_seed(0)
    network = build_network(load_recipe(recipe).network, 3).eval()
    copied = channels_last_copy(network, torch.device("cpu"))
    assert sum(isinstance(layer, ThinUpsampling | RepeatedThinUpsampling) for layer in copied.modules()) == 1
    assert list(copied.state_dict()) == list(network.state_dict())
    window = torch.randn(2, 1, 16, 24, 16)
    split, plain = (split_before_dropout(each, window) for each in (copied, network))
    assert split.shared_fraction == plain.shared_fraction > 0
    with torch.no_grad():
        torch.testing.assert_close(copied(window), network(window), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(split.repeated(*split.shared(window)), copied(window))


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvTranspose3d(8, 64, 3, 2, 1, 1),
        nn.ConvTranspose3d(8, 2, 2, 2),
        nn.ConvTranspose3d(8, 2, 3, 2, 1, 0),
        nn.ConvTranspose3d(8, 2, 1, 1),
        nn.ConvTranspose3d(8, 2, 3, 2, 1, 1, groups=2),
        nn.ConvTranspose3d(8, 2, 3, 2, 2, 1, dilation=2),
        nn.Conv3d(8, 2, 3),
    ],
    ids=["many channels", "kernel of 2", "odd result", "nothing doubled", "groups", "dilation", "no transposed"],
)
def test_other_layers_stay_as_they_are(layer: nn.Module) -> None:
    assert not is_thin(layer)
