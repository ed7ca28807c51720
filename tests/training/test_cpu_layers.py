"""Layers for training on a CPU: the function, the state and the gradient of torch's own."""

import pytest
import torch
from torch import nn

from activelabel.networks import build_network
from activelabel.networks.smoothing import Smooth
from activelabel.prediction.devices.folding import FoldedConvolution
from activelabel.prediction.devices.layout import ChannelsLastInstanceNorm
from activelabel.prediction.devices.thin_upsampling import RepeatedThinUpsampling, ThinUpsampling
from activelabel.prediction.dropout import Draw, monte_carlo_dropout
from activelabel.recipes import NetworkSettings, load_recipe
from activelabel.training.cpu_layers import QuickDropout, QuickPReLU, QuickSmooth, with_cpu_layers
from activelabel.training.deep_convolutions import DeepConvolution
from activelabel.training.deep_upsampling import DeepUpsampling

SMALL = NetworkSettings(channels=(16, 32), strides=(2,), residual_units=1, dropout=0.0)


@pytest.mark.parametrize("normalisation", ["instance", "batch"])
@pytest.mark.parametrize("training", [True, False])
def test_output_and_gradients_are_those_of_torchs_layers(normalisation: str, training: bool) -> None:
    torch.manual_seed(0)
    settings = SMALL.model_copy(update={"normalisation": normalisation})
    plain = build_network(settings, 3).train(training)
    quick = build_network(settings, 3)
    quick.load_state_dict(plain.state_dict())
    quick = with_cpu_layers(quick).train(training)
    image = torch.randn(2, 1, 8, 12, 8)
    outputs = [network(image) for network in (plain, quick)]
    torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-5)
    for output in outputs:
        output.square().mean().backward()
    for (name, expected), (same, found) in zip(plain.named_parameters(), quick.named_parameters(), strict=True):
        assert name == same
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("padding", ["zeros", "repeated"])
def test_a_patch_alone_has_the_output_and_gradients_of_torchs_layers_on_deep_levels_too(padding: str) -> None:
    torch.manual_seed(0)
    changed = {"channels": (16, 64, 96), "strides": (2, 2), "upsampling": "smoothed", "padding": padding}
    settings = SMALL.model_copy(update=changed)
    plain = build_network(settings, 2).train()
    quick = build_network(settings, 2)
    quick.load_state_dict(plain.state_dict())
    quick = with_cpu_layers(quick).train()
    kinds = {type(layer) for layer in quick.modules()}
    expected = {FoldedConvolution, ThinUpsampling, DeepConvolution, DeepUpsampling}
    assert kinds >= (expected if padding == "zeros" else {FoldedConvolution, RepeatedThinUpsampling})
    image = torch.randn(1, 1, 8, 12, 16)
    outputs = [network(image) for network in (plain, quick)]
    torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-5)
    for output in outputs:
        output.square().mean().backward()
    for one, other in zip(plain.parameters(), quick.parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad, rtol=1e-3, atol=1e-5)


def test_the_state_has_the_same_names_and_shapes() -> None:
    settings = SMALL.model_copy(update={"dropout": 0.3})
    plain, quick = build_network(settings, 3), with_cpu_layers(build_network(settings, 3))
    plain.load_state_dict(quick.state_dict())
    assert not any(type(layer) in (nn.InstanceNorm3d, nn.Dropout) for layer in quick.modules())


@pytest.mark.parametrize("p", [0.2, 0.5])
def test_as_many_values_are_dropped_as_the_rate_says_and_the_rest_is_scaled(p: float) -> None:
    torch.manual_seed(1)
    values = torch.full((2, 16, 20, 20, 10), 3.0, requires_grad=True)
    dropped = QuickDropout(p).train()(values)
    share = float((dropped == 0).float().mean())
    assert abs(share - p) < 4 * (p * (1 - p) / values.numel()) ** 0.5 + 2**-16  # four standard errors
    torch.testing.assert_close(dropped[dropped != 0], torch.full_like(dropped[dropped != 0], 3 / (1 - p)))
    dropped.sum().backward()
    assert values.grad is not None
    torch.testing.assert_close(values.grad, dropped.detach() / 3)


@pytest.mark.parametrize("p", [0.2, 0.3])
def test_in_bfloat16_what_is_kept_is_rounded_once(p: float) -> None:
    """1 / 0.8 is a number of bfloat16, 1 / 0.7 is not."""
    torch.manual_seed(1)
    values = torch.randn(1, 16, 10, 10, 10).bfloat16()
    dropped = QuickDropout(p).train()(values)
    kept = dropped != 0
    assert dropped.dtype is torch.bfloat16
    assert 0.5 < kept.float().mean() < 0.9
    assert torch.equal(dropped[kept], (values[kept].float() * (1 / (1 - p))).bfloat16())


def test_masks_follow_torchs_seed_and_differ_from_call_to_call() -> None:
    layer, values = QuickDropout(0.5).train(), torch.ones(1, 4, 8, 8, 8)
    torch.manual_seed(3)
    first, second = layer(values), layer(values)
    torch.manual_seed(3)
    torch.testing.assert_close(layer(values), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_rates_of_0_and_1_drop_nothing_and_everything_as_torch_does(p: float) -> None:
    values = torch.randn(1, 2, 4, 4, 4)
    torch.testing.assert_close(QuickDropout(p).train()(values), nn.Dropout(p).train()(values))
    torch.testing.assert_close(QuickDropout(0.5).eval()(values), values)


def test_monte_carlo_dropout_switches_these_dropout_layers_on() -> None:
    network = nn.Sequential(QuickDropout(0.5))
    values = torch.ones(1, 2, 4, 4, 4)
    with monte_carlo_dropout(network, torch.device("cpu"), channels_last=True) as dropout:
        dropout.begin([Draw(0, 0, 0)])
        assert set(network(values).unique().tolist()) == {0.0, 2.0}


@pytest.mark.parametrize("stride", [(2, 2, 2), (2, 2, 1), (1, 1, 1)])
def test_smoothing_and_its_gradient_are_those_of_the_plain_layer(stride: tuple[int, int, int]) -> None:
    """The outermost voxels are in it: along one axis there are only two."""
    torch.manual_seed(0)
    values = [torch.randn(2, 3, 6, 5, 2).requires_grad_() for _ in range(2)]
    values[1].data.copy_(values[0].data)
    weights = torch.randn(2, 3, 6, 5, 2)
    outputs = [layer(each) for layer, each in zip((Smooth(stride), QuickSmooth(stride)), values, strict=True)]
    torch.testing.assert_close(*outputs)
    for output in outputs:
        (output * weights).sum().backward()
    torch.testing.assert_close(values[0].grad, values[1].grad)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_activation_with_one_slope_is_torchs(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layers = [nn.PReLU(init=0.3), nn.PReLU(init=0.3)]
    values = [torch.randn(2, 4, 6, 5, 3).to(dtype).requires_grad_() for _ in range(2)]
    values[1].data.copy_(values[0].data)
    weights = torch.randn(2, 4, 6, 5, 3)
    for layer, each in zip((layers[0], QuickPReLU(layers[1])), values, strict=True):
        output = layer.to(dtype)(each)
        assert output.dtype is dtype
        (output.float() * weights).sum().backward()
    tolerance = {"rtol": 2e-2, "atol": 2e-2} if dtype is torch.bfloat16 else {}
    torch.testing.assert_close(values[0].grad, values[1].grad, **tolerance)
    torch.testing.assert_close(layers[0].weight.grad, layers[1].weight.grad, rtol=2e-2, atol=1e-3)


def test_an_activation_whose_gradient_is_some_channels_of_another_has_the_gradient_of_torchs() -> None:
    torch.manual_seed(0)
    last = torch.channels_last_3d
    both, layers = torch.randn(2, 8, 6, 5, 3).to(memory_format=last), [nn.PReLU(init=0.3), nn.PReLU(init=0.3)]
    found = []
    for layer in (layers[0], QuickPReLU(layers[1])):
        values = both[:, :4].clone(memory_format=last).requires_grad_()
        layer(values).backward(both[:, 4:])
        assert values.grad is not None
        assert values.grad.is_contiguous(memory_format=last)
        found.append([values.grad, layer.weight.grad])
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("items", [1, 2])
@pytest.mark.parametrize("channels", [2, 8, 16])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_normalisation_has_the_gradient_by_its_formula_whatever_the_layout_of_what_comes_back(
    items: int, channels: int, dtype: torch.dtype
) -> None:
    """Torch's own is wrong for an item alone whose gradient has the channels innermost."""
    torch.manual_seed(0)
    last = torch.channels_last_3d
    values, gradient = (torch.randn(items, channels, 4, 6, 5).to(dtype).to(memory_format=last) for _ in range(2))
    own = values.clone(memory_format=last).requires_grad_()
    ChannelsLastInstanceNorm(nn.InstanceNorm3d(channels))(own).backward(gradient)
    exact = values.double().requires_grad_()
    space = (2, 3, 4)
    centred = exact - exact.mean(space, keepdim=True)
    (centred / (centred.square().mean(space, keepdim=True) + 1e-5).sqrt()).backward(gradient.double())
    assert own.grad is not None
    assert exact.grad is not None
    tolerance = 1e-5 if dtype is torch.float32 else 0.03
    torch.testing.assert_close(own.grad.double(), exact.grad, rtol=0, atol=tolerance)


def test_every_activation_and_smoothing_of_quicks_network_is_replaced() -> None:
    recipe = load_recipe("quick")
    kinds = {type(layer) for layer in with_cpu_layers(build_network(recipe.network, 3)).modules()}
    assert {QuickDropout, QuickPReLU, QuickSmooth} <= kinds
    assert not {nn.PReLU, Smooth, nn.Dropout} & kinds
