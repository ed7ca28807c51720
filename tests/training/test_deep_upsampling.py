"""Upsampling of deep levels: the function, the state and the gradient of torch's transposed convolution."""

import pytest
import torch
from torch import nn
from trained_step import assert_the_same_in_bfloat16, output_and_gradients

from activelabel.training import deep_upsampling
from activelabel.training.deep_upsampling import DeepUpsampling, is_deep_upsampling


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("size", [(4, 5, 3), (1, 2, 1)])
def test_output_and_gradients_are_those_of_torchs_transposed_convolution(
    bias: bool, size: tuple[int, int, int]
) -> None:
    torch.manual_seed(0)
    plain = nn.ConvTranspose3d(6, 12, 3, 2, 1, 1, bias=bias).to(memory_format=torch.channels_last_3d)
    assert is_deep_upsampling(plain)
    deep = DeepUpsampling(plain)
    assert deep.state_dict().keys() == plain.state_dict().keys()
    values = torch.randn(2, 6, *size).to(memory_format=torch.channels_last_3d)
    found = output_and_gradients(plain, values), output_and_gradients(deep, values)
    for expected, got in zip(*found, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_in_bfloat16_output_and_gradients_are_those_of_torchs_up_to_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deep_upsampling, "multiplies_tiles", lambda: True)
    torch.manual_seed(0)
    plain = nn.ConvTranspose3d(64, 12, 3, 2, 1, 1).to(memory_format=torch.channels_last_3d)
    values = torch.randn(2, 64, 3, 4, 2).to(memory_format=torch.channels_last_3d)
    assert_the_same_in_bfloat16(plain, DeepUpsampling(plain), values)


@pytest.mark.parametrize(("is_wide", "has_tiles"), [(False, False), (True, False), (True, True)])
def test_the_size_up_to_which_rows_are_faster_follows_from_the_processor(
    monkeypatch: pytest.MonkeyPatch, is_wide: bool, has_tiles: bool
) -> None:
    monkeypatch.setattr(deep_upsampling, "has_wide_vectors", lambda: is_wide)
    monkeypatch.setattr(deep_upsampling, "multiplies_tiles", lambda: has_tiles)
    assert deep_upsampling.most_values(torch.float32) == (1 << 20 if is_wide else 1 << 22)
    assert deep_upsampling.most_values(torch.bfloat16) == (1 << 20 if has_tiles else 0)
    assert deep_upsampling.most_values(torch.float16) == 0


def test_what_torch_does_as_fast_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many voxels, and bfloat16 without tiles."""
    monkeypatch.setattr(deep_upsampling, "multiplies_tiles", lambda: False)
    layer = DeepUpsampling(nn.ConvTranspose3d(4, 12, 3, 2, 1, 1))
    small = torch.zeros(1, 4, 2, 2, 2)
    monkeypatch.setattr(deep_upsampling, "_Upsampled", None)
    with pytest.raises(AttributeError):
        layer(small)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(small).dtype is torch.bfloat16
    monkeypatch.setattr(deep_upsampling, "most_values", lambda dtype: 8 * 27 * 12 - 1)
    assert layer(small).shape == (1, 12, 4, 4, 4)


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvTranspose3d(8, 16, 2, 2),
        nn.ConvTranspose3d(8, 16, 3, 2, 1, 0),
        nn.ConvTranspose3d(8, 16, (3, 3, 1), (2, 2, 1), (1, 1, 0), (1, 1, 0)),
        nn.ConvTranspose3d(8, 16, 3, 2, 1, 1, groups=2),
        nn.Conv3d(8, 16, 3),
    ],
    ids=["kernel of 2", "odd result", "two axes", "groups", "not transposed"],
)
def test_other_layers_stay_as_they_are(layer: nn.Module) -> None:
    assert not is_deep_upsampling(layer)
