"""The two parts together are the network, and the first part is as large as possible."""

import logging
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from activelabel.prediction.sharing import SharedFeatures, each_repeated, split_before_dropout


@pytest.fixture
def windows(image: Tensor) -> Tensor:
    return torch.stack([image[:, :8, :8, :8], image[:, 6:, 3:, 1:]])


def calls_of(module: nn.Module) -> list[int]:
    """A list that grows by the batch size with each forward pass of `module`."""
    calls: list[int] = []
    module.register_forward_hook(lambda module, arguments, output: calls.append(len(arguments[0])))
    return calls


def test_the_encoder_is_shared_where_only_the_decoder_drops(
    make_network: Callable[..., nn.Module], windows: Tensor
) -> None:
    network = make_network(encoder_dropout=0.0).eval()
    split = split_before_dropout(network, windows)
    encoder_calls = [calls_of(layer) for layer in network.get_submodule("encoder").children()]
    head_calls = calls_of(network.get_submodule("head"))
    features = split.shared(windows)
    assert all(calls == [2] for calls in encoder_calls)
    assert head_calls == []
    torch.testing.assert_close(split.repeated(*features), network(windows))
    assert head_calls == [2, 2]
    # Of two convolutions, a batch normalisation and the head.
    assert split.shared_fraction == 3 / 4


def test_if_the_encoder_has_dropout_only_the_layers_before_it_are_shared(
    make_network: Callable[..., nn.Module], windows: Tensor
) -> None:
    network = make_network().eval()
    split = split_before_dropout(network, windows)
    first, after = calls_of(network.get_submodule("encoder.1")), calls_of(network.get_submodule("encoder.3"))
    features = split.shared(windows)
    assert (first, after) == ([2], [])
    assert split.shared_fraction == 2 / 4
    torch.testing.assert_close(split.repeated(*features), network(windows))


def test_weights_used_after_dropout_are_not_handed_on(windows: Tensor) -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor([2.0]))
            self.dropout = nn.Dropout(0.5)

        def forward(self, image: Tensor) -> Tensor:
            return self.dropout(image * self.scale) + self.scale

    network = Scaled().eval()
    split = split_before_dropout(network, windows)
    features = split.shared(windows)
    assert len(features) == 1
    torch.testing.assert_close(split.repeated(*features), windows * 2 + 2)


class BranchesOnValues(nn.Module):
    """A network that cannot be traced, as its branch depends on the image."""

    def forward(self, image: Tensor) -> Tensor:
        return image * 2 if image.sum() > 0 else image


class HandsOnItsBatchSize(nn.Module):
    """A network that can be traced, but whose part after the dropout uses the number of items of the first part."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.5)

    def forward(self, image: Tensor) -> Tensor:
        return self.dropout(image).reshape(image.shape[0], -1)


@pytest.mark.parametrize(
    ("network", "reason"),
    [(BranchesOnValues(), "cannot be traced"), (HandsOnItsBatchSize(), "more than tensors of its batch")],
)
def test_a_network_that_cannot_be_split_runs_whole_and_the_log_says_why(
    network: nn.Module, reason: str, windows: Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        split = split_before_dropout(network.eval(), windows)
    assert reason in caplog.text
    assert split.repeated is network
    assert split.shared_fraction == 0
    assert split.shared(windows) == (windows,)


def test_features_are_kept_as_far_as_they_fit() -> None:
    computed: list[tuple[int, ...]] = []

    def cut(numbers: tuple[int, ...]) -> Tensor:
        computed.append(numbers)
        return torch.full((len(numbers), 1, 2, 2, 2), float(numbers[0]))

    # Room for one batch of two items of eight float32.
    features = SharedFeatures(lambda windows: (windows + 1,), kept_bytes=64)
    for numbers in [(0, 1), (2, 3), (0, 1), (2, 3)]:
        (value,) = features.of(numbers, cut)
        assert value.unique().tolist() == [numbers[0] + 1]
    assert computed == [(0, 1), (2, 3), (2, 3)]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_items_are_repeated_side_by_side_in_their_layout(layout: torch.memory_format) -> None:
    features = torch.rand(2, 3, 4, 5, 6, generator=torch.Generator().manual_seed(1)).contiguous(memory_format=layout)
    repeated = each_repeated(features, 3)
    assert [int(i) for i in range(6) if repeated[i].equal(features[i // 3])] == list(range(6))
    assert repeated.is_contiguous(memory_format=layout)
    assert each_repeated(features, 1) is features
