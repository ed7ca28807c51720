"""The copy gives the network's results, and keeps the memory layout."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from activelabel.networks.smoothing import Smooth
from activelabel.prediction.devices import layout as of_layout
from activelabel.prediction.devices.layout import ChannelsLastInstanceNorm, ItemwiseSmooth, channels_last_copy

CPU = torch.device("cpu")


@pytest.mark.parametrize("channels", [3, 16, 32])
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("batch", [1, 3])
def test_instance_normalisation_is_torchs(channels: int, affine: bool, batch: int) -> None:
    generator = torch.Generator().manual_seed(1)
    layer = nn.InstanceNorm3d(channels, eps=1e-3, affine=affine)
    if affine:
        with torch.no_grad():
            layer.weight.copy_(torch.rand(channels, generator=generator) + 0.5)
            layer.bias.copy_(torch.randn(channels, generator=generator))
    offsets = torch.arange(float(channels)).view(1, -1, 1, 1, 1)
    values = torch.randn((batch, channels, 4, 5, 6), generator=generator) * 3 + offsets
    values = values.contiguous(memory_format=torch.channels_last_3d)
    found = ChannelsLastInstanceNorm(layer)(values)
    torch.testing.assert_close(found, layer(values), atol=1e-5, rtol=0)
    assert found.is_contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_normalisation_without_a_gradient_is_that_with_one(affine: bool, dtype: torch.dtype) -> None:
    layer = ChannelsLastInstanceNorm(nn.InstanceNorm3d(16, affine=affine))
    if affine:
        with torch.no_grad():
            layer.weight.copy_(torch.linspace(0.5, 2, 16))
            layer.bias.copy_(torch.linspace(-1, 1, 16))
    values = torch.randn((3, 16, 4, 5, 6), generator=torch.Generator().manual_seed(1)).to(dtype)
    values = values.contiguous(memory_format=torch.channels_last_3d)
    expected = layer(values)
    with torch.no_grad():
        found = layer(values)
    assert torch.equal(found, expected)
    assert found.is_contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize("channels", [3, 16])
@pytest.mark.parametrize("batch", [1, 2])
def test_the_gradient_of_instance_normalisation_is_right_in_either_layout(channels: int, batch: int) -> None:
    """Torch's own is wrong for one item and a gradient with channels innermost; expected is a formula in double."""
    generator = torch.Generator().manual_seed(1)
    values, gradient = (torch.randn((batch, channels, 4, 5, 6), generator=generator) for _ in range(2))
    exact = values.double().requires_grad_()
    spread = exact.var(dim=(2, 3, 4), correction=0, keepdim=True)
    ((exact - exact.mean(dim=(2, 3, 4), keepdim=True)) / (spread + 1e-5).sqrt()).backward(gradient.double())
    assert exact.grad is not None
    for layout in (torch.channels_last_3d, torch.contiguous_format):
        for of_gradient in (torch.channels_last_3d, torch.contiguous_format):
            own = values.clone(memory_format=layout).requires_grad_()
            layer = ChannelsLastInstanceNorm(nn.InstanceNorm3d(channels))
            layer(own).backward(gradient.clone(memory_format=of_gradient))
            torch.testing.assert_close(own.grad, exact.grad.float(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("stride", [(2, 2, 2), (2, 2, 1), (1, 2, 1), (1, 1, 1)])
@pytest.mark.parametrize("shape", [(3, 2, 5, 4, 6), (1, 16, 2, 3, 1), (2, 32, 5, 4, 6), (2, 3, 1, 1, 2)])
def test_smoothing_in_either_way_is_smoothing(
    monkeypatch: pytest.MonkeyPatch, at_once: bool, stride: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    monkeypatch.setattr(of_layout, "convolves_each_fast", lambda dtype: at_once)
    values = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    values = values.contiguous(memory_format=torch.channels_last_3d)
    before = values.clone()
    with torch.no_grad():
        torch.testing.assert_close(ItemwiseSmooth(stride)(values), Smooth(stride)(values), atol=1e-6, rtol=0)
    assert torch.equal(values, before)


@pytest.mark.parametrize("at_once", [False, True])
def test_smoothing_keeps_the_type_of_its_values_under_autocast(monkeypatch: pytest.MonkeyPatch, at_once: bool) -> None:
    monkeypatch.setattr(of_layout, "convolves_each_fast", lambda dtype: at_once)
    values = torch.rand(1, 16, 2, 3, 4).contiguous(memory_format=torch.channels_last_3d)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert ItemwiseSmooth((2, 2, 2))(values).dtype is torch.float32
        assert ItemwiseSmooth((2, 2, 2))(values.bfloat16()).dtype is torch.bfloat16


def test_a_copy_gives_the_same_and_leaves_the_network_alone(
    make_network: Callable[..., nn.Module], image: Tensor
) -> None:
    network = make_network().train()
    copied = channels_last_copy(network, CPU)
    assert isinstance(copied.get_submodule("encoder.5"), ChannelsLastInstanceNorm)
    assert isinstance(network.get_submodule("encoder.5"), nn.InstanceNorm3d)
    assert network.training
    assert list(copied.state_dict()) == list(network.state_dict())
    network.eval()
    window = image[None, :, :8, :8, :8]
    torch.testing.assert_close(copied(window), network(window), atol=1e-5, rtol=0)


def test_running_statistics_are_used_as_before() -> None:
    network = nn.Sequential(nn.InstanceNorm3d(16, track_running_stats=True))
    network(torch.randn((2, 16, 3, 3, 3), generator=torch.Generator().manual_seed(1)) + 4)
    copied = channels_last_copy(network, CPU)
    values = torch.randn((1, 16, 3, 3, 3), generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(copied(values), network.eval()(values))
