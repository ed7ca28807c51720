"""Predictions without a grid: the power at the grid's frequencies, for inputs that have none there."""

import pytest
import torch
from monai.networks.layers.simplelayers import SkipConnection
from torch import Tensor, nn
from trained_step import assert_it_trains

from activelabel.errors import InvalidInputError
from activelabel.networks import build_network
from activelabel.networks.smoothing import Smooth, smooth_upsampling
from activelabel.prediction.sharing import split_before_dropout
from activelabel.recipes import NetworkSettings, load_recipe

SIZE = 64
INNER = slice(16, 48)  # away from the ends, where convolutions see their zero padding
PERIODS = (2, 4, 8)  # the periods of the nested grids that three strides of 2 leave


def smooth_image() -> Tensor:
    """Return one slow wave along each axis, with no period shorter than 64 voxels."""
    wave = torch.sin(torch.arange(SIZE) * 2 * torch.pi / SIZE)
    return (wave[:, None, None] + wave[None, :, None] * 0.5 + wave[None, None, :] * 0.25)[None, None]


def grid_power(maps: Tensor) -> float:
    """Return the share of the variance of a map's inner part (B, C, *S) at the grid's periods along the first axis."""
    inner = maps[..., INNER, INNER, INNER].double()
    profile = inner.mean(dim=(3, 4)).flatten(0, 1)  # a grid is the same in all rows, so the mean keeps it
    profile = (profile - _curve_through(profile)) * torch.hann_window(profile.shape[1], dtype=torch.float64)
    power = torch.fft.rfft(profile, dim=1).abs() ** 2
    length = profile.shape[1]
    total = (inner - inner.mean(dim=(2, 3, 4), keepdim=True)).square().mean() * length**2 * inner.shape[1]
    return float(sum(power[:, length // period].sum() for period in PERIODS) / total)


def _curve_through(profile: Tensor) -> Tensor:
    """Return a cubic polynomial that removes the slow wave, which would leak into all frequencies."""
    places = torch.linspace(-1, 1, profile.shape[1], dtype=torch.float64)
    basis = torch.stack([places**power for power in range(4)], dim=1)
    return (basis @ torch.linalg.lstsq(basis, profile.T).solution).T


def network_of(settings: NetworkSettings, classes: int = 3) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_network(settings, classes).eval()


@pytest.mark.parametrize("recipe", ["quick", "quick_slices", "ma2024"])
def test_the_prediction_of_a_smooth_image_has_no_grid(recipe: str) -> None:
    settings = load_recipe(recipe).network
    thin = settings.model_copy(update={"channels": (8, 8, 16, 16), "strides": (2, 2, 2)})
    with torch.no_grad():
        smooth = grid_power(network_of(thin)(smooth_image()))
        grid = grid_power(network_of(thin.model_copy(update={"upsampling": "transposed"}))(smooth_image()))

    assert smooth < 1e-4
    assert grid > 100 * smooth


@pytest.mark.parametrize("kind", ["unet", "unet2d"])
def test_the_prediction_of_a_constant_image_is_constant(kind: str) -> None:
    """The middle of the prediction of a constant image is constant; transposed convolutions put a grid on it."""
    settings = NetworkSettings(kind=kind, channels=(4, 8), strides=(2,), residual_units=0, normalisation="batch")
    image = torch.full((1, 1, 32, 32, 32), 0.7)
    spread = {}
    for upsampling in ("smoothed", "transposed"):
        with torch.no_grad():
            logits = network_of(settings.model_copy(update={"upsampling": upsampling}))(image)
        middle = logits[..., 12:20, 12:20, 12:20].flatten(2)
        spread[upsampling] = float((middle.amax(dim=2) - middle.amin(dim=2)).max())

    assert spread["smoothed"] < 1e-5
    assert spread["transposed"] > 1e-2


@pytest.mark.parametrize("kind", ["unet", "unet2d"])
@pytest.mark.parametrize("residual_units", [0, 1])
def test_every_upsampling_layer_is_smoothed_and_the_other_layers_stay(kind: str, residual_units: int) -> None:
    settings = NetworkSettings(kind=kind, channels=(4, 8, 16), strides=(2, 2), residual_units=residual_units)
    plain = network_of(settings)
    smoothed = network_of(settings.model_copy(update={"upsampling": "smoothed"}))

    assert sum(isinstance(layer, Smooth) for layer in smoothed.modules()) == 2
    for counted in (nn.Conv3d, nn.ConvTranspose3d, nn.Dropout, nn.InstanceNorm3d, SkipConnection):
        assert sum(isinstance(layer, counted) for layer in plain.modules()) == sum(
            isinstance(layer, counted) for layer in smoothed.modules()
        )
    depth = 3 if kind == "unet2d" else 8
    assert smoothed(torch.zeros(2, 1, 8, 12, depth)).shape == (2, 3, 8, 12, depth)


def test_a_voxel_is_smoothed_by_a_quarter_a_half_and_a_quarter() -> None:
    values = torch.zeros(1, 1, 5, 4, 3)
    values[0, 0, 2, 0, 1] = 1.0
    expected = torch.zeros(5, 4, 3)
    expected[1:4, 0, 1] = torch.tensor([0.25, 0.5, 0.25]) * 0.75  # beyond an end the last voxel is repeated
    expected[1:4, 1, 1] = torch.tensor([0.25, 0.5, 0.25]) * 0.25
    torch.testing.assert_close(Smooth((2, 2, 1))(values)[0, 0], expected)


@pytest.mark.parametrize("stride", [(2, 2, 2), (2, 2, 1), (3, 3, 3), (1, 1, 1)])
def test_smoothing_removes_the_period_of_the_stride_and_keeps_a_ramp(stride: tuple[int, ...]) -> None:
    grid = torch.zeros(1, 1, 12, 12, 12)
    grid[:, :, :: stride[0], :: stride[1], :: stride[2]] = 1.0
    inner = Smooth(stride)(grid)[..., 3:9, 3:9, 3:9]
    torch.testing.assert_close(inner, torch.full_like(inner, 1.0 / (stride[0] * stride[1] * stride[2])))

    ramp = torch.arange(12.0).expand(1, 1, 12, 12, 12)
    torch.testing.assert_close(Smooth(stride)(ramp)[..., 3:9], ramp[..., 3:9])


def test_a_transposed_convolution_without_a_stride_is_left_alone() -> None:
    layers = nn.Sequential(nn.ConvTranspose3d(2, 2, 3, padding=1))
    assert not any(isinstance(layer, Smooth) for layer in smooth_upsampling(layers).modules())


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_smoothed_layers_train_in_either_precision_and_layout(channels_last: bool, precision: torch.dtype) -> None:
    network = network_of(load_recipe("quick").network.model_copy(update={"channels": (16, 16), "strides": (2,)}))
    assert_it_trains(network, channels_last, precision)


def test_layers_before_the_first_dropout_still_run_once_for_all_repeats() -> None:
    split = split_before_dropout(network_of(load_recipe("quick").network), torch.randn(2, 1, 16, 16, 16))
    assert split.shared_fraction > 0


@pytest.mark.parametrize("kind", ["anisotropic_unet", "residual_unet"])
def test_networks_whose_upsampling_cannot_be_smoothed_refuse_the_setting(kind: str) -> None:
    settings = NetworkSettings(kind=kind, residual_units=int(kind == "residual_unet"), upsampling="smoothed")
    with pytest.raises(
        InvalidInputError, match=f"network.upsampling is smoothed: a {kind} has transposed convolutions"
    ):
        build_network(settings, classes=2)
