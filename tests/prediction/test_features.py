import numpy as np
import pytest
import torch
from torch import Tensor, nn

from activelabel.errors import InvalidInputError
from activelabel.networks import NETWORKS, build_network
from activelabel.networks.bottleneck import bottleneck
from activelabel.prediction.features import FeatureExtractor
from activelabel.recipes import NetworkSettings

WINDOW = (8, 8, 8)


def a_network(kind: str) -> nn.Module:
    units = 0 if kind == "anisotropic_unet" else 1
    settings = NetworkSettings(kind=kind, channels=(3, 5, 7), strides=(2, 2), residual_units=units, dropout=0.4)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return build_network(settings, classes=2)


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def lowest(network: nn.Module, windows: Tensor) -> Tensor:
    """Return the output of the lowest level, by a hook of this test."""
    seen: list[Tensor] = []
    hook = bottleneck(network).register_forward_hook(lambda layer, inputs, output: seen.append(output))
    with torch.no_grad():
        network.eval()(windows)
    hook.remove()
    return seen[0]


@pytest.mark.parametrize("kind", sorted(NETWORKS))
def test_the_lowest_level_has_the_most_channels_and_the_smallest_size(kind: str) -> None:
    deep = {"unet": (2, 2, 2), "residual_unet": (2, 2, 2), "unet2d": (2, 2, 8), "anisotropic_unet": (2, 2, 8)}

    assert lowest(a_network(kind), noise(2, 1, *WINDOW)).shape == (2, 7, *deep[kind])


@pytest.mark.parametrize("kind", sorted(NETWORKS))
def test_features_of_one_window_are_the_mean_over_its_lowest_level(kind: str) -> None:
    network, image = a_network(kind), noise(1, *WINDOW)

    features = FeatureExtractor(network, WINDOW, 0.25).features(image)

    assert features.shape == (7,)
    torch.testing.assert_close(features, lowest(network, image[None]).mean(dim=(2, 3, 4))[0])
    assert features.unique().numel() == 7


def test_windows_are_averaged_and_empty_ones_do_not_count() -> None:
    """Three windows without overlap, the middle one constant."""
    network, image = a_network("residual_unet"), noise(1, 24, 8, 8)
    image[:, 8:16] = 0.5
    first, last = (lowest(network, image[None, :, start : start + 8]).mean(dim=(2, 3, 4))[0] for start in (0, 16))

    features = FeatureExtractor(network, WINDOW, 0.0).features(image)

    torch.testing.assert_close(features, (first + last) / 2)


def test_an_image_that_is_constant_has_features_too() -> None:
    features = FeatureExtractor(a_network("residual_unet"), WINDOW, 0.0).features(torch.ones(1, 16, 8, 8))

    assert torch.isfinite(features).all()


@pytest.mark.parametrize("kind", sorted(NETWORKS))
def test_features_are_the_same_every_time_and_draw_nothing(kind: str) -> None:
    """Dropout is off even if the network is in training mode, and the mode is kept."""
    network, image = a_network(kind).train(), noise(1, 13, 9, 11)
    extractor = FeatureExtractor(network, WINDOW, 0.25)
    state = torch.random.get_rng_state()

    first, again = extractor.features(image), extractor.features(image)

    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert network.training


def test_later_training_does_not_reach_the_copy() -> None:
    network, image = a_network("residual_unet"), noise(1, *WINDOW)
    extractor = FeatureExtractor(network, WINDOW, 0.25)
    before = extractor.features(image)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()

    torch.testing.assert_close(extractor.features(image), before, rtol=0, atol=0)


def test_windows_that_do_not_divide_and_images_that_are_none_are_one_line() -> None:
    with pytest.raises(
        InvalidInputError, match=r"window_size: the network does not take windows of \(9, 9, 9\) voxels"
    ):
        FeatureExtractor(a_network("residual_unet"), (9, 9, 9), 0.25)
    with pytest.raises(InvalidInputError, match=r"an image must be \(1, W, H, D\)"):
        FeatureExtractor(a_network("unet"), WINDOW, 0.25).features(torch.zeros(8, 8, 8))


def test_an_unknown_network_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="network Sequential: has no lowest level that is known"):
        bottleneck(nn.Sequential(nn.Conv3d(1, 2, 1)))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("kind", sorted(NETWORKS))
def test_slices_of_one_window_are_their_means_linear_between_the_places_of_the_lowest_level(
    kind: str, axis: int
) -> None:
    network, image = a_network(kind), noise(1, *WINDOW)
    others = tuple(2 + other for other in range(3) if other != axis)
    along = lowest(network, image[None]).mean(dim=others)[0].numpy()  # (F, places)
    middles = (np.arange(along.shape[1]) + 0.5) * 8 / along.shape[1] - 0.5
    expected = np.stack([np.interp(np.arange(8), middles, row) for row in along], axis=1)

    found = FeatureExtractor(network, WINDOW, 0.25).slice_features(image, axis)

    assert found.shape == (8, 7)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_slices_of_several_windows_are_the_means_over_those_that_hold_them() -> None:
    """Along the first axis windows at 0, 4 and 8; the second has one alone, reflected by 1 and 2."""
    network, image = a_network("unet"), noise(1, 16, 5, 8)
    extractor = FeatureExtractor(network, WINDOW, 0.5)
    padded = torch.from_numpy(np.pad(image.numpy(), [(0, 0), (0, 0), (1, 2), (0, 0)], mode="reflect"))
    parts = [FeatureExtractor(network, WINDOW, 0.5).slice_features(padded[:, at : at + 8], 0) for at in (0, 4, 8)]

    found = extractor.slice_features(image, 0)

    torch.testing.assert_close(found[:4], parts[0][:4])
    torch.testing.assert_close(found[4:8], (parts[0][4:] + parts[1][:4]) / 2)
    torch.testing.assert_close(found[8:12], (parts[1][4:] + parts[2][:4]) / 2)
    across = extractor.slice_features(image[:, :8], 1)
    torch.testing.assert_close(across, extractor.slice_features(padded[:, :8], 1)[1:6])


def test_slices_that_only_empty_windows_hold_have_what_the_nearest_others_have() -> None:
    """Three windows without overlap, the middle one constant: 8 to 11 as 7, 12 to 15 as 16."""
    network, image = a_network("residual_unet"), noise(1, 24, 8, 8)
    image[:, 8:16] = 0.5

    found = FeatureExtractor(network, WINDOW, 0.0).slice_features(image, 0)

    torch.testing.assert_close(found[8:12], found[7].expand(4, -1))
    torch.testing.assert_close(found[12:16], found[16].expand(4, -1))
    assert not torch.equal(found[7], found[16])


def test_slices_of_no_volume_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"an image must be \(1, W, H, D\)"):
        FeatureExtractor(a_network("unet"), WINDOW, 0.25).slice_features(torch.zeros(8, 8, 8), 0)


def test_a_network_of_a_users_own_names_its_lowest_level() -> None:
    network = nn.Sequential(nn.Conv3d(1, 2, 1))
    network.bottleneck = nn.Conv3d(2, 5, 1)
    assert bottleneck(network) is network.bottleneck
