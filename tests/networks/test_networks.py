from collections.abc import Callable

import pytest
import torch
from monai.networks.blocks import ResidualUnit
from torch import nn

from activelabel.errors import InvalidInputError, NotFoundError
from activelabel.networks import NETWORKS, build_network
from activelabel.prediction.features import FeatureExtractor
from activelabel.prediction.predictor import Predictor
from activelabel.prediction.sharing import split_before_dropout
from activelabel.recipes import NetworkSettings

SMALL = NetworkSettings(channels=(4, 8, 16), strides=(2, 2), residual_units=1, dropout=0.3)
KINDS = {
    "unet": SMALL,
    "unet2d": SMALL.model_copy(update={"kind": "unet2d"}),
    "anisotropic_unet": SMALL.model_copy(update={"kind": "anisotropic_unet", "residual_units": 0}),
    "residual_unet": SMALL.model_copy(update={"kind": "residual_unet"}),
}
WINDOWS = {"unet": (8, 8, 8), "unet2d": (8, 8, 1), "anisotropic_unet": (8, 8, 3), "residual_unet": (8, 8, 8)}


@pytest.fixture
def make_network() -> Callable[..., nn.Module]:
    """A small network with the same random weights every time, in evaluation mode."""

    def make(kind: str, **update: object) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(2)
            network = build_network(KINDS[kind].model_copy(update=update), classes=3)
        return network.eval()

    return make


def test_the_parameters_of_these_tests_hold_each_kind_of_network() -> None:
    assert KINDS.keys() == NETWORKS.keys()


@pytest.mark.parametrize("normalisation", ["instance", "batch"])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_logits_have_a_channel_a_class_and_the_size_of_the_image(
    make_network: Callable[..., nn.Module], kind: str, normalisation: str
) -> None:
    network = make_network(kind, normalisation=normalisation)

    assert network(torch.zeros(2, 1, 8, 12, 16)).shape == (2, 3, 8, 12, 16)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", ["unet2d", "anisotropic_unet"])
def test_slices_may_be_of_any_number_where_no_level_halves_them(
    make_network: Callable[..., nn.Module], kind: str
) -> None:
    network = make_network(kind)

    for slices in (1, 3, 5):
        assert network(noise(1, 1, 8, 8, slices)).shape == (1, 3, 8, 8, slices)


def test_in_2d_a_slice_never_sees_its_neighbours(make_network: Callable[..., nn.Module]) -> None:
    network = make_network("unet2d", normalisation="batch")
    image = noise(2, 1, 8, 12, 5)

    one_by_one = torch.cat([network(image[..., z : z + 1]) for z in range(5)], dim=-1)

    torch.testing.assert_close(network(image), one_by_one)


def test_in_2d_training_on_a_batch_of_slices_is_training_on_a_volume_of_them(
    make_network: Callable[..., nn.Module],
) -> None:
    """D slices of B images and B·D images of a slice have the same gradient, batch normalisation included."""
    gradients = []
    image = noise(2, 1, 8, 12, 5)
    for batch in (image, image.movedim(-1, 0).reshape(10, 1, 8, 12, 1)):
        network = make_network("unet2d", normalisation="batch", dropout=0.0).train()
        network(batch)[:, 1].square().sum().backward()
        gradients.append([parameter.grad for parameter in network.parameters()])

    for volume, slices in zip(*gradients, strict=True):
        torch.testing.assert_close(volume, slices, rtol=1e-3, atol=1e-3)


def reach_of(network: nn.Module, size: tuple[int, int, int]) -> tuple[int, ...]:
    """Return along each axis the number of voxels that affect the network's value in the middle of a window."""
    image = noise(1, 1, *size).requires_grad_()
    w, h, d = (side // 2 for side in size)
    network(image)[0, 0, w, h, d].backward()
    assert image.grad is not None
    seen = image.grad[0, 0].nonzero()
    return tuple((seen.amax(dim=0) - seen.amin(dim=0) + 1).tolist())


def test_the_upper_two_levels_of_the_anisotropic_network_are_flat_and_those_below_are_not() -> None:
    """Maximum pooling hands back one of four voxels, so the reach is that of the convolutions or a little less."""
    settings = NetworkSettings(
        kind="anisotropic_unet", channels=(4, 4), strides=(2,), residual_units=0, normalisation="batch", dropout=0.0
    )
    torch.manual_seed(0)  # with four channels, random weights may leave all of them dead
    flat = build_network(settings, classes=2).double()
    deep = build_network(settings.model_copy(update={"channels": (4, 4, 4), "strides": (2, 2)}), classes=2).double()

    assert reach_of(_in_double(flat), (32, 32, 16))[2] == 1
    # On the third level two separable convolutions reach two voxels to either side; no pooling there shares slices.
    assert reach_of(_in_double(deep), (64, 64, 16))[2] == 5


def _in_double(network: nn.Module) -> nn.Module:
    """Return the network in double precision and evaluation mode, where only true zeros of a gradient are exactly 0."""
    network.eval()
    return nn.Sequential(_ToDouble(), network)


class _ToDouble(nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.double()


def test_the_anisotropic_network_of_the_paper_has_nearly_its_number_of_weights() -> None:
    """chlebus2022, fig. 1: 4,975,346 trainable parameters for two classes."""
    settings = NetworkSettings(
        kind="anisotropic_unet",
        channels=(32, 56, 96, 168, 336),
        strides=(2, 2, 2, 2),
        residual_units=0,
        normalisation="batch",
        dropout=0.25,
    )

    network = build_network(settings, classes=2)

    count = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    assert count == 4_975_618
    assert [layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)] == [0.25] * 4
    # 16 in the plane, and 4 across: two of the four poolings leave the slices alone.
    assert network.eval()(torch.zeros(1, 1, 16, 16, 4)).shape == (1, 2, 16, 16, 4)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_kind_runs_over_volumes_with_monte_carlo_dropout(
    make_network: Callable[..., nn.Module], kind: str, precision: str
) -> None:
    """Batches of windows, shared layers and channels-last memory give the same as the plain network."""
    network = make_network(kind, normalisation="batch")
    predictor = Predictor(network, WINDOWS[kind], 0.25, precision=precision)
    window, volume = noise(1, *WINDOWS[kind]), noise(1, 14, 12, 9)
    tolerance = {"float32": 1e-5, "bfloat16": 0.05}[precision]

    plain = network(window[None])[0].softmax(dim=0).detach()
    torch.testing.assert_close(predictor.probabilities(window), plain, atol=tolerance, rtol=0)

    sampled = predictor.sample(volume, repeats=3, seed=1)
    again = predictor.sample(volume, repeats=2, seed=1, statistics=predictor.sample(volume, repeats=1, seed=1))
    assert sampled.mean.shape == (3, 14, 12, 9)
    torch.testing.assert_close(sampled.mean.sum(dim=0), torch.ones(14, 12, 9))
    torch.testing.assert_close(sampled.mean, again.mean, atol=tolerance, rtol=0)
    assert (sampled.variance() > 0).float().mean() > 0.9


def test_the_encoder_of_the_anisotropic_network_runs_once_for_all_repeats(
    make_network: Callable[..., nn.Module],
) -> None:
    """Its eight convolutions and their normalisations, and the first of two ways up, lie before any dropout."""
    network = make_network("anisotropic_unet", normalisation="batch")

    split = split_before_dropout(network, noise(2, 1, 8, 8, 3))

    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv3d | nn.ConvTranspose3d)]
    assert len(convolutions) == 15
    assert split.shared_fraction == pytest.approx((8 + 1 + 8) / (15 + 12))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_window_that_does_not_divide_is_named(make_network: Callable[..., nn.Module], kind: str) -> None:
    with pytest.raises(InvalidInputError, match=r"window_size: the network does not take windows of \(10, 10, 5\)"):
        Predictor(make_network(kind), (10, 10, 5), 0.25)


def test_the_anisotropic_network_has_no_residual_units() -> None:
    with pytest.raises(InvalidInputError, match=r"network\.residual_units is 2: an anisotropic_unet has none, write 0"):
        build_network(KINDS["anisotropic_unet"].model_copy(update={"residual_units": 2}), classes=2)


def test_the_residual_network_drops_at_the_end_of_every_level_and_nowhere_else() -> None:
    """nath2022, 4.2: dropout follows each residual block of five levels down and four up, before its output is used."""
    five = SMALL.model_copy(
        update={"kind": "residual_unet", "channels": (2, 3, 4, 5, 6), "strides": (2, 2, 2, 2), "dropout": 0.2}
    )
    network = build_network(five, classes=2).eval()
    order: list[tuple[str, int, float]] = []
    for module in network.modules():
        if isinstance(module, ResidualUnit | nn.Dropout | nn.ConvTranspose3d):
            module.register_forward_hook(lambda layer, _, output: order.append(_told(layer, output)))

    network(noise(1, 1, 32, 16, 16))

    down = [step for width in (2, 3, 4, 5, 6) for step in (("ResidualUnit", width, 0.0), ("Dropout", width, 0.2))]
    up = [
        step
        for width in (5, 4, 3, 2)
        for step in (("ConvTranspose3d", width, 0.0), ("ResidualUnit", width, 0.0), ("Dropout", width, 0.2))
    ]
    assert order == down + up


def _told(layer: nn.Module, output: torch.Tensor) -> tuple[str, int, float]:
    return type(layer).__name__, output.shape[1], layer.p if isinstance(layer, nn.Dropout) else 0.0


def test_a_residual_block_adds_its_input() -> None:
    """A block whose convolutions are 0 except the one that leads around it equals that one."""
    network = build_network(KINDS["residual_unet"].model_copy(update={"dropout": 0.0}), classes=2).eval()
    block = network.encoder[0][0]  # type: ignore[union-attr, index, operator]
    for parameter in block.conv.parameters():
        nn.init.zeros_(parameter)
    image = noise(1, 1, 8, 8, 8)

    torch.testing.assert_close(block(image), block.residual(image))
    assert block(image).abs().max() > 0


def test_a_residual_network_without_residual_units_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"network\.residual_units is 0: a residual_unet has 1 or more"):
        build_network(KINDS["residual_unet"].model_copy(update={"residual_units": 0}), classes=2)


@pytest.mark.parametrize("kind", ["unet", "unet2d"])
@pytest.mark.parametrize("residual_units", [0, 1, 2])
@pytest.mark.parametrize("normalisation", ["instance", "batch"])
def test_every_level_has_dropout(kind: str, residual_units: int, normalisation: str) -> None:
    """The channels of the convolution before a dropout layer identify its level, on the way down and up."""
    update = {"kind": kind, "residual_units": residual_units, "normalisation": normalisation}
    choice = SMALL.model_copy(update=update)
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


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize(("channels", "strides"), [((8,), ()), ((8, 16), (2, 2)), ((8, 16, 32), (2,))])
def test_strides_that_do_not_fit_the_levels_are_refused(
    kind: str, channels: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    with pytest.raises(InvalidInputError, match=r"network\.strides has \d entries for \d levels"):
        build_network(KINDS[kind].model_copy(update={"channels": channels, "strides": strides}), classes=2)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_channel_of_an_image_counts_in_prediction_and_features(kind: str) -> None:
    torch.manual_seed(0)
    network = build_network(KINDS[kind], classes=3, inputs=4)
    predictor = Predictor(network, WINDOWS[kind], 0.25, skip_outside_body=False, channels=4)
    extractor = FeatureExtractor(network, WINDOWS[kind], 0.25, channels=4)
    image = torch.randn(4, 10, 9, 5)
    mean, features = predictor.sample(image, 2, seed=0).mean, extractor.features(image)
    assert mean.shape == (3, 10, 9, 5)
    for channel in range(4):
        changed = image.clone()
        changed[channel] += torch.randn(10, 9, 5)
        assert not torch.allclose(predictor.sample(changed, 2, seed=0).mean, mean)
        assert not torch.allclose(extractor.features(changed), features)
    for refuse in (predictor.probabilities, extractor.features):
        with pytest.raises(
            InvalidInputError, match=r"^an image must be \(4, W, H, D\) with no empty axis, got \(1, 10"
        ):
            refuse(image[:1])
