"""The engine against a stack of all repeats, window by window; and settings that must not change its answer."""

import logging
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from activelabel.acquisition import uncertainty
from activelabel.acquisition.uncertainty import MEASURES, MonteCarloStatistics
from activelabel.errors import InvalidInputError
from activelabel.prediction import batching, predictor
from activelabel.prediction.dropout import Draw, monte_carlo_dropout
from activelabel.prediction.predictor import Predictor
from activelabel.prediction.windows import window_grid

WINDOW = (8, 8, 8)
MakeNetwork = Callable[..., nn.Module]


def float32_predictor(network: nn.Module, skip_outside_body: bool = False) -> Predictor:
    return Predictor(network, WINDOW, 0.25, precision="float32", skip_outside_body=skip_outside_body)


def blended(image: Tensor, softmax_of: Callable[[int, Tensor], Tensor]) -> np.ndarray:
    """Blend `softmax_of(number, window)` window by window in numpy, independently: (C, W, H, D) in float64."""
    grid = window_grid((image.shape[1], image.shape[2], image.shape[3]), WINDOW, 0.25)
    axis = np.exp(-0.5 * ((np.arange(8) - 3.5) / 1.0) ** 2)
    weights = np.maximum(axis[:, None, None] * axis[:, None] * axis, 1e-3)
    total, norm = 0.0, np.zeros(grid.padded_size)
    padded = grid.pad(image)
    for number, box in enumerate(grid.boxes()):
        probabilities = softmax_of(number, padded[(slice(None), *box)]).double().numpy()
        placed = np.zeros((len(probabilities), *grid.padded_size))
        placed[(slice(None), *box)] = probabilities * weights
        total = total + placed
        norm[box] += weights
    cropped = grid.crop(torch.from_numpy(total / norm))
    return cropped.numpy()


def stacked_repeats(network: nn.Module, image: Tensor, repeats: int, seed: int) -> Tensor:
    """Return (R, C, W, H, D), each repeat blended alone, one window at a time."""
    with torch.no_grad(), monte_carlo_dropout(network, torch.device("cpu"), channels_last=True) as dropout:

        def softmax_of(repeat: int) -> Callable[[int, Tensor], Tensor]:
            def of_window(number: int, window: Tensor) -> Tensor:
                dropout.begin([Draw(seed, repeat, number)])
                return torch.softmax(network(window[None])[0], dim=0)

            return of_window

        return torch.stack([torch.from_numpy(blended(image, softmax_of(repeat))) for repeat in range(repeats)])


def assert_same_measures(found: MonteCarloStatistics, expected: MonteCarloStatistics, tolerance: float = 2e-6) -> None:
    assert found.repeats == expected.repeats
    for name, measure in MEASURES.items():
        torch.testing.assert_close(measure(found), measure(expected), atol=tolerance, rtol=0, msg=name)


@pytest.mark.parametrize("classes", [2, 4])
def test_statistics_are_those_of_stacked_blended_repeats(
    make_network: MakeNetwork, image: Tensor, classes: int
) -> None:
    network = make_network(classes=classes)
    statistics = float32_predictor(network).sample(image, repeats=4, seed=11)
    samples = stacked_repeats(network, image, repeats=4, seed=11)
    assert float(statistics.variance().mean()) > 1e-3
    for name, measure in MEASURES.items():
        expected = getattr(uncertainty, name)(samples)
        assert measure(statistics).shape == image.shape[1:]
        torch.testing.assert_close(measure(statistics), expected, atol=1e-5, rtol=0, msg=name)


def test_probabilities_are_the_blended_softmax_without_dropout(make_network: MakeNetwork, image: Tensor) -> None:
    network = make_network().train()
    found = float32_predictor(network).probabilities(image)
    network.eval()
    with torch.no_grad():
        expected = blended(image, lambda number, window: torch.softmax(network(window[None])[0], dim=0))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(5, 8, 3), (3, 20, 8), (1, 1, 1)])
def test_a_volume_smaller_than_the_window_is_padded_with_zeros_and_cropped_back(
    make_network: MakeNetwork, shape: tuple[int, int, int]
) -> None:
    network = make_network()
    small = torch.randn((1, *shape), generator=torch.Generator().manual_seed(1))
    found = float32_predictor(network).sample(small, repeats=3, seed=2)
    assert found.mean.shape == (3, *shape)
    torch.testing.assert_close(
        found.mean.double(), stacked_repeats(network, small, 3, 2).mean(dim=0), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("voxels_at_once", [512, 512 * 3, 512 * 5, 512 * 100])
@pytest.mark.parametrize("decoder_only", [False, True])
def test_scores_are_the_same_whatever_the_batch_size(
    make_network: MakeNetwork,
    image: Tensor,
    voxels_at_once: int,
    decoder_only: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = make_network(encoder_dropout=0.0 if decoder_only else 0.2)
    expected = float32_predictor(network).sample(image, repeats=5, seed=4)
    monkeypatch.setattr(batching, "_CPU_VOXELS", voxels_at_once)
    monkeypatch.setattr(batching, "_CPU_SMALLEST_BATCH", 1)
    assert_same_measures(float32_predictor(network).sample(image, repeats=5, seed=4), expected)


def test_scores_differ_by_seed_and_are_repeatable(make_network: MakeNetwork, image: Tensor) -> None:
    predictor = float32_predictor(make_network())
    first, again, other = (predictor.sample(image, repeats=3, seed=seed).variance() for seed in (1, 1, 2))
    assert first.equal(again)
    assert not torch.allclose(first, other, atol=1e-3)


def test_sampling_goes_on_where_it_stopped(make_network: MakeNetwork, image: Tensor) -> None:
    predictor = float32_predictor(make_network())
    statistics = predictor.sample(image, repeats=2, seed=9)
    assert predictor.sample(image, repeats=3, seed=9, statistics=statistics) is statistics
    assert_same_measures(statistics, predictor.sample(image, repeats=5, seed=9))


def test_neither_the_network_nor_the_generators_change(make_network: MakeNetwork, image: Tensor) -> None:
    network = make_network().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1]
    predictor = float32_predictor(network)
    predictor.sample(image, repeats=3, seed=1)
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())
    assert all(module.training for module in network.modules())
    assert torch.get_rng_state().equal(torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()
    # The predictor's own copy has not changed either: a second run gives the same.
    assert predictor.probabilities(image).equal(float32_predictor(network).probabilities(image))


def test_later_training_does_not_reach_a_predictor(make_network: MakeNetwork, image: Tensor) -> None:
    network = make_network()
    predictor = float32_predictor(network)
    before = predictor.probabilities(image)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert predictor.probabilities(image).equal(before)


def test_windows_outside_the_body_are_background_and_are_not_run(make_network: MakeNetwork) -> None:
    # Two windows without overlap in x; the second is air.
    network = make_network()
    volume = torch.full((1, 20, 8, 8), -1.0)
    volume[:, :8] = torch.randn((1, 8, 8, 8), generator=torch.Generator().manual_seed(1))
    runs: list[int] = []
    network.get_submodule("head").register_forward_hook(lambda m, arguments, output: runs.append(len(arguments[0])))
    skipping, whole = (float32_predictor(network, skip_outside_body=skip) for skip in (True, False))
    grid = window_grid((20, 8, 8), WINDOW, 0.25)
    assert [start[0] for start in grid.starts] == [0, 6, 12]
    runs.clear()
    skipped = skipping.sample(volume, repeats=2, seed=3)
    assert sum(runs) == 2 * 2
    assert skipped.mean[0, 14:].eq(1).all()
    assert skipped.mean[1:, 14:].eq(0).all()
    for measure in MEASURES.values():
        assert measure(skipped)[14:].eq(0).all()
    runs.clear()
    full = whole.sample(volume, repeats=2, seed=3)
    assert sum(runs) == 2 * 3
    # Outside of the air's window both are the same.
    torch.testing.assert_close(skipped.mean[:, :12], full.mean[:, :12], atol=1e-6, rtol=0)
    assert not torch.allclose(skipped.mean[:, 14:], full.mean[:, 14:], atol=1e-2)


def test_a_volume_of_air_is_certain_background(make_network: MakeNetwork) -> None:
    predictor = float32_predictor(make_network(), skip_outside_body=True)
    air = torch.zeros(1, 12, 9, 8)
    assert predictor.sample(air, repeats=3, seed=1).mean[0].eq(1).all()
    assert predictor.probabilities(air)[0].eq(1).all()


def test_the_encoder_runs_once_for_all_repeats(
    make_network: MakeNetwork, image: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One repeat at a time, so that each repeat visits the windows again.
    monkeypatch.setattr(batching, "_CPU_VOXELS", 512)
    monkeypatch.setattr(batching, "_CPU_SMALLEST_BATCH", 1)
    network = make_network(encoder_dropout=0.0)
    items = {"encoder.4": 0, "head": 0}

    def count(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
            items[name] += len(arguments[0])

        return hook

    for name in items:
        network.get_submodule(name).register_forward_hook(count(name))
    engine = float32_predictor(network)
    windows = len(window_grid((14, 11, 9), WINDOW, 0.25).starts)
    engine.sample(image, repeats=1, seed=1)  # the first repeats split the network, by trying it
    items.update(dict.fromkeys(items, 0))
    engine.sample(image, repeats=6, seed=1)
    assert items == {"encoder.4": windows, "head": 6 * windows}
    # Without memory for features they are computed again, with the same result.
    shared = engine.sample(image, repeats=6, seed=1)
    monkeypatch.setitem(predictor._KEPT_BYTES, "cpu", 0)
    items.update(dict.fromkeys(items, 0))
    assert_same_measures(engine.sample(image, repeats=6, seed=1), shared)
    assert items == {"encoder.4": 6 * windows, "head": 6 * windows}


def test_running_out_of_memory_halves_and_gives_the_same(
    make_network: MakeNetwork, image: Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    network = make_network()
    expected = float32_predictor(network).sample(image, repeats=5, seed=4)
    allowed = [100]

    def allocate(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        if len(arguments[0]) > allowed[0]:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")

    network.get_submodule("head").register_forward_pre_hook(allocate)
    engine = float32_predictor(network)
    allowed[0] = 3
    with caplog.at_level(logging.WARNING):
        assert_same_measures(engine.sample(image, repeats=5, seed=4), expected)
    assert "out of memory" in caplog.text


def test_peak_maps_do_not_grow_with_repeats(
    make_network: MakeNetwork, image: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[tuple[int, ...]] = []
    original = predictor.Blend.maps
    monkeypatch.setattr(predictor.Blend, "maps", lambda blend: sizes.append(original(blend).shape) or original(blend))
    monkeypatch.setattr(batching, "_CPU_VOXELS", 512 * 4)
    engine = float32_predictor(make_network())
    for repeats in (5, 40):
        engine.sample(image, repeats=repeats, seed=1)
    assert {size[0] for size in sizes} == {4}


def test_bfloat16_ranks_as_float32(make_network: MakeNetwork) -> None:
    network = make_network()
    generator = torch.Generator().manual_seed(8)
    images = [torch.randn((1, 9, 9, 9), generator=generator) * scale for scale in torch.linspace(0.1, 2, 12)]
    scores = [
        [
            float(Predictor(network, WINDOW, 0.25, precision=name).sample(image, 4, 1).entropy().sum())
            for image in images
        ]
        for name in ("float32", "bfloat16")
    ]
    assert scores[0] != scores[1]
    assert spearmanr(*scores).statistic >= 0.99


def test_statistics_are_float32_in_low_precision(make_network: MakeNetwork, image: Tensor) -> None:
    statistics = Predictor(make_network(), WINDOW, 0.25, precision="bfloat16").sample(image, 2, 1)
    assert {measure(statistics).dtype for measure in MEASURES.values()} == {torch.float32}
    torch.testing.assert_close(statistics.mean.sum(dim=0), torch.ones(image.shape[1:]), atol=1e-5, rtol=0)


def test_a_network_without_dropout_is_refused_for_repeats_only(make_network: MakeNetwork, image: Tensor) -> None:
    predictor = float32_predictor(make_network(0.0, 0.0))
    assert predictor.probabilities(image).shape == (3, *image.shape[1:])
    with pytest.raises(InvalidInputError, match="no dropout layer with a rate above 0"):
        predictor.sample(image, repeats=2, seed=1)


def test_a_window_that_the_network_does_not_take_is_refused(make_network: MakeNetwork) -> None:
    with pytest.raises(InvalidInputError, match=r"window_size: the network does not take windows of \(7, 8, 8\)"):
        Predictor(make_network(), (7, 8, 8), 0.25)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Conv3d(1, 1, 1), "2 classes or more"),
        (nn.Conv3d(1, 2, 1, stride=2), r"must give \(2, C, 8, 8, 8\) logits, got \(2, 2, 4, 4, 4\)"),
    ],
)
def test_a_network_of_another_kind_is_refused(network: nn.Module, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Predictor(network, WINDOW, 0.25)


@pytest.mark.parametrize("shape", [(8, 8, 8), (2, 8, 8, 8), (1, 0, 8, 8)])
def test_an_image_of_another_shape_is_refused(make_network: MakeNetwork, shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInputError, match=r"must be \(1, W, H, D\)"):
        float32_predictor(make_network()).sample(torch.zeros(shape), 1, 1)


def test_without_repeats_the_prediction_is_a_single_pass_with_dropout_off(
    make_network: MakeNetwork, image: Tensor
) -> None:
    network = make_network()
    predictor = float32_predictor(network)
    statistics = predictor.sample(image, repeats=0, seed=1)
    assert statistics.repeats == 0
    assert statistics.mean.equal(predictor.probabilities(image))
    assert float((statistics.mean - predictor.sample(image, repeats=1, seed=1).mean).abs().max()) > 0.01


def test_small_images_go_through_the_network_together_and_each_has_its_own_single_pass(
    make_network: MakeNetwork, image: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "_CPU_VOXELS", 3 * 8**3)
    network = make_network()
    predictor = float32_predictor(network, skip_outside_body=True)
    small = [image[:, place : place + 5 + place, 2:9, :8] for place in range(4)]
    images = [*small[:2], torch.zeros(1, 6, 6, 6), *small[2:], image, small[0]]
    alone = [torch.from_numpy(blended(one, lambda _, window: softmax_of(network, window))) for one in images]
    alone[2] = torch.eye(3)[0].view(3, 1, 1, 1).expand(3, 6, 6, 6).double()  # air is not run, but background

    batches: list[int] = []
    monkeypatch.setattr(predictor, "_network", counting(predictor._network, batches))
    found = list(predictor.sample_each(images, repeats=0, seed=1))
    for statistics, expected in zip(found, alone, strict=True):
        assert statistics.repeats == 0
        torch.testing.assert_close(statistics.mean.double(), expected, atol=1e-5, rtol=0)
    assert batches == [2, 2, 3, 3, 2, 1]  # two and air, two, the eight windows of the large one, one


def test_repeats_of_several_images_are_those_of_each(make_network: MakeNetwork, image: Tensor) -> None:
    predictor = float32_predictor(make_network())
    found = predictor.sample_each([image, image[:, :8]], repeats=3, seed=2)
    for statistics, one in zip(found, (image, image[:, :8]), strict=True):
        assert_same_measures(statistics, predictor.sample(one, repeats=3, seed=2))


def softmax_of(network: nn.Module, window: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.softmax(network.eval()(window[None])[0], dim=0)


def counting(network: nn.Module, batches: list[int]) -> Callable[[Tensor], Tensor]:
    def run(windows: Tensor) -> Tensor:
        batches.append(len(windows))
        logits: Tensor = network(windows)
        return logits

    return run


def test_a_network_without_dropout_has_a_single_pass(make_network: MakeNetwork, image: Tensor) -> None:
    predictor = float32_predictor(make_network(encoder_dropout=0.0, decoder_dropout=0.0))
    assert predictor.sample(image, repeats=0, seed=1).entropy().shape == image.shape[1:]
    with pytest.raises(InvalidInputError, match="or set repeats to 0, a single pass"):
        predictor.sample(image, repeats=1, seed=1)


@pytest.mark.parametrize("size", [(8, 8, 8), (12, 9, 10)])
def test_with_a_margin_the_ends_of_a_volume_see_no_zeros_of_a_convolution(size: tuple[int, int, int]) -> None:
    """The logit is a mean over 5x5x5 voxels: 1 everywhere on a volume of ones, and less where zeros are included."""
    mean = nn.Conv3d(1, 2, 5, padding=2, bias=False)
    nn.init.constant_(mean.weight, 1 / 125)
    with torch.no_grad():
        mean.weight[0].zero_()
    image = torch.ones(1, *size)

    certain = float(torch.tensor([0.0, 1.0]).softmax(dim=0)[1])
    lacking = {}
    for margin in (0, 2):
        predictor = Predictor(
            mean, WINDOW, 0.5, precision="float32", skip_outside_body=False, margin=(margin, margin, margin)
        )
        ends = predictor.probabilities(image)[1][[0, -1]]
        lacking[margin] = float((ends - certain).abs().mean())
    # The remaining error comes from windows that end inside the volume, where their weight is small.
    assert lacking[2] < 0.1 * lacking[0]
