import pytest
import torch
from torch import nn

from activelabel.errors import InvalidInputError, NotFoundError
from activelabel.networks import NETWORKS, build_network
from activelabel.recipes import NetworkSettings

SMALL = NetworkSettings(channels=(4, 8, 16), strides=(2, 2), residual_units=1, dropout=0.3)


@pytest.mark.parametrize("kind", sorted(NETWORKS))
def test_logits_have_a_channel_a_class_and_the_size_of_the_image(kind: str) -> None:
    network = build_network(SMALL.model_copy(update={"kind": kind}), classes=3)

    assert network(torch.zeros(2, 1, 8, 12, 16)).shape == (2, 3, 8, 12, 16)


@pytest.mark.parametrize("residual_units", [0, 1, 2])
@pytest.mark.parametrize("normalisation", ["instance", "batch"])
def test_every_level_has_dropout(residual_units: int, normalisation: str) -> None:
    """A level is known by the channels of the convolution before the dropout layer, on the way down and up."""
    choice = SMALL.model_copy(update={"residual_units": residual_units, "normalisation": normalisation})
    network = build_network(choice, classes=2)
    modules = list(network.modules())

    rates = [module.p for module in modules if isinstance(module, nn.Dropout)]
    widths = set()
    for position, module in enumerate(modules):
        if isinstance(module, nn.Dropout):
            before = [m for m in modules[:position] if isinstance(m, nn.Conv3d | nn.ConvTranspose3d)]
            widths.add(before[-1].out_channels)

    assert set(rates) == {0.3}
    assert widths >= {4, 8, 16}


def test_the_recipe_chooses_the_normalisation() -> None:
    kinds = {"instance": nn.InstanceNorm3d, "batch": nn.BatchNorm3d}
    for name, kind in kinds.items():
        network = build_network(SMALL.model_copy(update={"normalisation": name}), classes=2)
        found = {type(module) for module in network.modules() if isinstance(module, tuple(kinds.values()))}
        assert found == {kind}


def test_an_unknown_kind_lists_the_known_ones() -> None:
    with pytest.raises(NotFoundError, match=r"network\.kind 'transformer' does not exist: use one of .*unet"):
        build_network(SMALL.model_copy(update={"kind": "transformer"}), classes=2)


@pytest.mark.parametrize(("channels", "strides"), [((8,), ()), ((8, 16), (2, 2)), ((8, 16, 32), (2,))])
def test_strides_that_do_not_fit_the_levels_are_refused(channels: tuple[int, ...], strides: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInputError, match=r"network\.strides has \d entries for \d levels"):
        build_network(SMALL.model_copy(update={"channels": channels, "strides": strides}), classes=2)
