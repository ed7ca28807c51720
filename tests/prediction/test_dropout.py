"""Dropout masks: their rate, their dependencies, and the state that they leave unchanged."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from activelabel.prediction.dropout import Draw, keep_last_random, monte_carlo_dropout, random_layers

CPU = torch.device("cpu")


def dropped(layer: nn.Module, values: Tensor, draws: list[Draw], channels_last: bool = False) -> Tensor:
    with monte_carlo_dropout(layer, CPU, channels_last) as dropout:
        dropout.begin(draws)
        return layer(values)


@pytest.mark.parametrize("p", [0.5, 0.25, 0.2, 0.017, 0.9])
@pytest.mark.parametrize("channels_last", [False, True])
def test_a_fraction_p_is_dropped_and_the_rest_scaled(p: float, channels_last: bool) -> None:
    values = dropped(nn.Dropout(p), torch.ones(1, 8, 32, 32, 16), [Draw(1, 0, 0)], channels_last)
    kept = values[values != 0]
    count = values.numel()
    # Five standard deviations of a binomial fraction.
    assert 1 - len(kept) / count == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / count))
    assert kept.unique().tolist() == pytest.approx([1 / (1 - p)])


def test_neighbours_are_dropped_independently() -> None:
    kept = dropped(nn.Dropout(0.2), torch.ones(1, 4, 40, 40, 40), [Draw(1, 0, 0)])[0] > 0
    for axis in range(4):
        both = (kept.narrow(axis, 1, kept.shape[axis] - 1) & kept.narrow(axis, 0, kept.shape[axis] - 1)).float().mean()
        assert float(both) == pytest.approx(0.64, abs=0.01)


@pytest.mark.parametrize("channels_last", [False, True])
def test_an_item_is_dropped_alike_alone_and_in_any_batch(channels_last: bool) -> None:
    layers = nn.Sequential(nn.Dropout(0.3), nn.Dropout3d(0.5), nn.Dropout(0.5))
    draws = [Draw(7, repeat, window) for repeat in range(2) for window in range(3)]
    values = torch.rand(6, 4, 5, 6, 7, generator=torch.Generator().manual_seed(1)) + 1
    together = dropped(layers, values, draws, channels_last)
    for item, draw in enumerate(draws):
        assert dropped(layers, values[item : item + 1], [draw], channels_last).equal(together[item : item + 1])
    assert dropped(layers, values.flip(0), draws[::-1], channels_last).flip(0).equal(together)


@pytest.mark.parametrize("other", [Draw(2, 0, 0), Draw(1, 1, 0), Draw(1, 0, 1)])
def test_seed_repeat_and_window_each_change_the_mask(other: Draw) -> None:
    values = torch.ones(1, 1, 20, 20, 20)
    first = dropped(nn.Dropout(0.5), values, [Draw(1, 0, 0)])
    agreement = float((first == dropped(nn.Dropout(0.5), values, [other])).float().mean())
    assert agreement == pytest.approx(0.5, abs=0.05)


def test_layers_of_one_pass_have_different_masks() -> None:
    first, second = nn.Dropout(0.5), nn.Dropout(0.5)
    both = nn.ModuleList([first, second])
    values = torch.ones(1, 1, 20, 20, 20)
    with monte_carlo_dropout(both, CPU, channels_last=False) as dropout:
        dropout.begin([Draw(1, 0, 0)])
        agreement = float((first(values) == second(values)).float().mean())
    assert agreement == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("layer", "spatial"), [(nn.Dropout1d(0.5), (27,)), (nn.Dropout2d(0.5), (9, 3)), (nn.Dropout3d(0.5), (3, 3, 3))]
)
@pytest.mark.parametrize("channels_last", [False, True])
def test_channel_dropout_drops_whole_channels(layer: nn.Module, spatial: tuple[int, ...], channels_last: bool) -> None:
    ones = torch.ones(2, 64, *spatial)
    values = dropped(layer, ones, [Draw(1, 0, 0), Draw(1, 1, 0)], channels_last).flatten(2)
    assert (values == values[:, :, :1]).all()
    assert set(values.unique().tolist()) == {0.0, 2.0}
    assert not values[0].equal(values[1])


@pytest.mark.parametrize("layer", [nn.AlphaDropout(0.2), nn.FeatureAlphaDropout(0.2)])
def test_alpha_dropout_keeps_mean_and_deviation(layer: nn.Module) -> None:
    values = torch.randn(1, 4000, 6, 6, 6, generator=torch.Generator().manual_seed(1))
    result = dropped(layer, values, [Draw(1, 0, 0)])
    assert float(result.mean()) == pytest.approx(0, abs=0.05)
    assert float(result.std()) == pytest.approx(1, abs=0.05)
    assert not result.equal(values)


def test_a_rate_of_one_drops_all_and_of_zero_nothing() -> None:
    values = torch.ones(1, 2, 3)
    assert dropped(nn.Dropout(1.0), values, [Draw(1, 0, 0)]).eq(0).all()
    assert dropped(nn.Dropout(0.0), values, [Draw(1, 0, 0)]).equal(values)
    assert random_layers(nn.Sequential(nn.Dropout(0.0), nn.Linear(1, 1))) == []


def test_low_precision_stays_low() -> None:
    assert dropped(nn.Dropout(0.5), torch.ones(1, 2, 4).bfloat16(), [Draw(1, 0, 0)]).dtype == torch.bfloat16


def test_global_generators_are_not_touched() -> None:
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1]
    dropped(nn.Dropout(0.5), torch.ones(1, 2, 100), [Draw(1, 0, 0)])
    assert torch.get_rng_state().equal(torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()


def test_normalisation_does_not_move_and_modes_come_back(make_network: Callable[..., nn.Module], image: Tensor) -> None:
    network = make_network()
    network.train()
    network.get_submodule("encoder.1").eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    modes = {name: module.training for name, module in network.named_modules()}
    dropped(network, image[None, :, :8, :8, :8], [Draw(1, 0, 0)])
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())
    assert {name: module.training for name, module in network.named_modules()} == modes


def test_modes_come_back_and_hooks_go_after_an_error(make_network: Callable[..., nn.Module], image: Tensor) -> None:
    network = make_network().train()
    training_inside: list[bool] = []

    def fail() -> None:
        with monte_carlo_dropout(network, CPU, channels_last=False):
            training_inside.extend(module.training for module in network.modules())
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail()
    assert not any(training_inside)
    assert all(module.training for module in network.modules())
    network.eval()
    window = image[None, :, :8, :8, :8]
    assert network(window).equal(network(window))


def test_a_batch_that_was_not_begun_is_refused() -> None:
    with pytest.raises(ValueError, match="batch of 1 items was begun, a dropout layer got 2"):
        dropped(nn.Dropout(0.5), torch.ones(2, 3), [Draw(1, 0, 0)])


class TwiceTheFirst(nn.Module):
    """Three dropout layers, of which the first runs again at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.first, self.middle = nn.Dropout(0.3), nn.Dropout(0.2), nn.Dropout(0.1)

    def forward(self, values: Tensor) -> Tensor:
        first: Tensor = self.last(self.middle(self.first(self.last(values))))
        return first


@pytest.mark.parametrize(
    ("count", "rates"), [(1, [0.3, 0, 0]), (2, [0.3, 0, 0.1]), (3, [0.3, 0.2, 0.1]), (9, [0.3, 0.2, 0.1])]
)
def test_the_layers_that_run_last_stay_random_whatever_their_place_in_the_network(
    count: int, rates: list[float]
) -> None:
    network = TwiceTheFirst()
    keep_last_random(network, count, torch.ones(1, 1, 2, 2, 2))
    assert [layer.p for layer in (network.last, network.first, network.middle)] == rates
