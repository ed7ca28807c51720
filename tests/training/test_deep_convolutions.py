"""Convolutions of deep levels: the function, the state and the gradient of torch's own."""

import copy

import pytest
import torch
from torch import nn
from trained_step import assert_the_same_in_bfloat16, output_and_gradients

from activelabel.training import deep_convolutions
from activelabel.training.deep_convolutions import DeepConvolution, is_deep


@pytest.mark.parametrize("stride", [(1, 1, 1), (2, 2, 2), (2, 1, 2)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("size", [(4, 5, 6), (1, 2, 3)])
def test_output_and_gradients_are_those_of_torchs_convolution(
    stride: tuple[int, int, int], bias: bool, size: tuple[int, int, int]
) -> None:
    torch.manual_seed(0)
    plain = nn.Conv3d(64, 5, 3, stride, padding=1, bias=bias).to(memory_format=torch.channels_last_3d)
    assert is_deep(plain)
    deep = DeepConvolution(plain)
    assert deep.state_dict().keys() == plain.state_dict().keys()
    values = torch.randn(1, 64, *size).to(memory_format=torch.channels_last_3d)
    found = output_and_gradients(plain, values), output_and_gradients(deep, values)
    for expected, got in zip(*found, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_in_bfloat16_output_and_gradients_are_those_of_torchs_up_to_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deep_convolutions, "multiplies_tiles", lambda: True)
    torch.manual_seed(0)
    plain = nn.Conv3d(128, 5, 3, padding=1).to(memory_format=torch.channels_last_3d)
    values = torch.randn(1, 128, 4, 5, 6).to(memory_format=torch.channels_last_3d)
    assert_the_same_in_bfloat16(plain, DeepConvolution(plain), values)


def test_the_gradient_of_values_in_bfloat16_is_rounded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a sum of 27 terms: rounded after each it is three times as far from the exact one as torch's own."""
    monkeypatch.setattr(deep_convolutions, "multiplies_tiles", lambda: True)
    torch.manual_seed(0)
    plain = nn.Conv3d(128, 8, 3, padding=1, bias=False).bfloat16()
    values, weights = torch.randn(1, 128, 6, 6, 6).bfloat16(), torch.randn(1, 8, 6, 6, 6).bfloat16()
    own = values.double().requires_grad_()
    (exact,) = torch.autograd.grad(copy.deepcopy(plain).double()(own), own, weights.double())
    away = []
    for layer in (plain, DeepConvolution(plain)):
        own = values.clone().requires_grad_()
        (found,) = torch.autograd.grad(layer(own), own, weights)
        away.append((found.double() - exact).square().mean().sqrt().item())
    assert away[1] < 1.5 * away[0]


def test_in_bfloat16_only_many_channels_and_few_voxels_are_slow_and_only_with_tiles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deep_convolutions, "multiplies_tiles", lambda: True)
    monkeypatch.setattr(deep_convolutions, "_Convolved", None)
    deep = DeepConvolution(nn.Conv3d(128, 2, 3, padding=1).bfloat16())
    with pytest.raises(AttributeError):
        deep(torch.zeros(1, 128, 8, 8, 4, dtype=torch.bfloat16))
    halved = DeepConvolution(nn.Conv3d(128, 2, 3, 2, padding=1).bfloat16())
    with pytest.raises(AttributeError):
        halved(torch.zeros(1, 128, 16, 16, 8, dtype=torch.bfloat16))
    assert deep(torch.zeros(1, 128, 8, 8, 5, dtype=torch.bfloat16)).shape == (1, 2, 8, 8, 5)
    few = DeepConvolution(nn.Conv3d(64, 2, 3, padding=1).bfloat16())
    assert few(torch.zeros(1, 64, 2, 2, 2, dtype=torch.bfloat16)).shape == (1, 2, 2, 2, 2)
    monkeypatch.setattr(deep_convolutions, "multiplies_tiles", lambda: False)
    assert deep(torch.zeros(1, 128, 8, 8, 4, dtype=torch.bfloat16)).shape == (1, 2, 8, 8, 4)


def test_what_torch_does_as_fast_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several items, many voxels, and bfloat16 with few channels."""
    layer = DeepConvolution(nn.Conv3d(64, 2, 3, padding=1))
    small, large = torch.zeros(1, 64, 2, 2, 2), torch.zeros(1, 64, 18, 18, 1)
    monkeypatch.setattr(deep_convolutions, "_Convolved", None)
    with pytest.raises(AttributeError):
        layer(small)
    assert layer(torch.cat([small, small])).shape == (2, 2, 2, 2, 2)
    assert layer(large).shape == (1, 2, 18, 18, 1)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(small).dtype is torch.bfloat16


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv3d(16, 2, 3, padding=1),
        nn.Conv3d(64, 2, 1),
        nn.Conv3d(64, 2, 3),
        nn.Conv3d(64, 2, 3, padding=2, dilation=2),
        nn.Conv3d(64, 2, 3, padding=1, groups=2),
        nn.Conv3d(64, 2, 3, padding=1, padding_mode="replicate"),
        nn.ConvTranspose3d(64, 2, 3, padding=1),
    ],
    ids=["few channels", "kernel of 1", "smaller", "dilation", "groups", "repeated", "transposed"],
)
def test_other_layers_stay_as_they_are(layer: nn.Module) -> None:
    assert not is_deep(layer)
