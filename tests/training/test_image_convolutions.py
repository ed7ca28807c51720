"""The first convolutions of a network: the function, the state and the gradient of torch's own."""

import pytest
import torch
from torch import Tensor, nn

from activelabel.training import image_convolutions
from activelabel.training.image_convolutions import ImageConvolution, is_of_image


def _gradients(layer: nn.Module, values: Tensor, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """What a layer makes of an image, and the gradients of its parameters."""
    with torch.autocast("cpu", dtype, enabled=dtype is not torch.float32):
        output = layer(values)
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(1))
    return [output, *torch.autograd.grad((output.float() * weights).sum(), list(layer.parameters()))]


@pytest.mark.parametrize("stride", [1, 2, (2, 1, 2)])
@pytest.mark.parametrize(("kernel", "padding"), [(3, 1), ((3, 5, 1), (1, 2, 0)), (3, 0)])
@pytest.mark.parametrize(("items", "channels"), [(1, 1), (2, 3)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("large", [True, False])
def test_output_and_gradients_are_those_of_torchs_convolution(
    stride: int,
    kernel: int,
    padding: int,
    items: int,
    channels: int,
    bias: bool,
    large: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if large:
        monkeypatch.setattr(image_convolutions, "_MOST_VALUES", 0)
    torch.manual_seed(0)
    plain = nn.Conv3d(channels, 5, kernel, stride, padding, bias=bias).to(memory_format=torch.channels_last_3d)
    assert is_of_image(plain)
    own = ImageConvolution(plain)
    assert own.state_dict().keys() == plain.state_dict().keys()
    values = torch.randn(items, channels, 6, 7, 4)
    for expected, got in zip(_gradients(plain, values), _gradients(own, values), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_in_bfloat16_gradients_are_those_of_torchs_up_to_rounding() -> None:
    torch.manual_seed(0)
    plain, values = nn.Conv3d(1, 8, 3, 2, padding=1), torch.randn(2, 1, 12, 10, 8)
    found = [_gradients(layer, values, torch.bfloat16) for layer in (plain, ImageConvolution(plain))]
    for expected, got in zip(*found, strict=True):
        assert got.dtype is expected.dtype
        torch.testing.assert_close(got, expected, rtol=2e-2, atol=2e-2 * float(expected.abs().max()))


def test_the_gradient_of_an_input_that_needs_one_is_torchs() -> None:
    torch.manual_seed(0)
    plain = nn.Conv3d(1, 4, 3, padding=1)
    values = torch.randn(1, 1, 4, 4, 4, requires_grad=True)
    found = [torch.autograd.grad(layer(values).square().sum(), values)[0] for layer in (plain, ImageConvolution(plain))]
    torch.testing.assert_close(*found)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv3d(8, 8, 3, padding=1),
        nn.Conv3d(2, 8, 3, padding=1, groups=2),
        nn.Conv3d(1, 8, 3, padding=2, dilation=2),
        nn.Conv3d(1, 8, 3, padding=1, padding_mode="replicate"),
        nn.Conv3d(1, 8, 3, padding="same"),
        nn.Conv2d(1, 8, 3),
    ],
)
def test_other_layers_are_left_alone(layer: nn.Module) -> None:
    assert not is_of_image(layer)
