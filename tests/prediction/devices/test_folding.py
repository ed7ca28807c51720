"""Convolutions between few channels: the function, the state and the gradient of torch's own; the memory layout."""

import copy

import pytest
import torch
from torch import nn

from activelabel.networks import build_network
from activelabel.prediction.devices.folding import FoldedConvolution, is_foldable
from activelabel.prediction.devices.layout import channels_last_copy
from activelabel.prediction.sharing import split_before_dropout
from activelabel.recipes import load_recipe


@pytest.mark.parametrize("padding_mode", ["zeros", "replicate"])
@pytest.mark.parametrize(
    ("channels", "kernel"),
    [((2, 2), (3, 3, 3)), ((3, 3), (3, 3, 3)), ((1, 4), (3, 1, 3)), ((2, 2), (3, 3, 1)), ((1, 2), (1, 3, 5))],
    ids=str,
)
@pytest.mark.parametrize("depth", [8, 6, 5, 1])
@pytest.mark.parametrize("batch", [1, 2])
def test_output_and_gradients_are_those_of_torchs_convolution(
    padding_mode: str, channels: tuple[int, int], kernel: tuple[int, int, int], depth: int, batch: int
) -> None:
    torch.manual_seed(0)
    inputs, outputs = channels
    same = tuple(length // 2 for length in kernel)
    plain = nn.Conv3d(inputs, outputs, kernel, padding=same, padding_mode=padding_mode).double()
    assert is_foldable(plain)
    folded = FoldedConvolution(plain)
    assert folded.state_dict().keys() == plain.state_dict().keys()
    values = torch.randn(batch, inputs, 4, 5, depth).double().to(memory_format=torch.channels_last_3d)
    found = []
    for layer in (plain, folded):
        own = values.clone().requires_grad_()
        output = layer(own)
        weights = torch.linspace(-1, 1, output.numel()).double().view(output.shape)
        found.append([output, *torch.autograd.grad((output * weights).sum(), [own, *layer.parameters()])])
    for expected, got in zip(*found, strict=True):
        torch.testing.assert_close(got, expected)


def test_the_result_has_the_channels_innermost_and_nothing_is_copied_on_the_way() -> None:
    layer = FoldedConvolution(nn.Conv3d(2, 2, 3, padding=1))
    values = torch.randn(1, 2, 4, 5, 8).contiguous(memory_format=torch.channels_last_3d)
    seen = []
    convolve = torch.conv3d

    def noting(folded: torch.Tensor, *rest: object, **named: object) -> torch.Tensor:
        seen.append(folded)
        return convolve(folded, *rest, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "conv3d", noting)
        result = layer(values)
    assert seen[0].shape == (1, 8, 4, 5, 2)
    assert seen[0].data_ptr() == values.data_ptr()
    assert result.is_contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv3d(2, 8, 3, padding=1),
        nn.Conv3d(8, 2, 3, padding=1),
        nn.Conv3d(2, 2, 3, padding=1, stride=2),
        nn.Conv3d(2, 2, 3),
        nn.Conv3d(2, 2, 2, padding=1),
        nn.Conv3d(2, 2, 3, padding=2, dilation=2),
        nn.Conv3d(2, 2, 3, padding=1, groups=2),
        nn.Conv3d(2, 2, 3, padding="same"),
        nn.Conv3d(2, 2, 3, padding=1, padding_mode="reflect"),
        nn.ConvTranspose3d(2, 2, 3, padding=1),
    ],
    ids=["out", "in", "stride", "smaller", "even", "dilation", "groups", "by name", "reflected", "transposed"],
)
def test_other_layers_stay_as_they_are(layer: nn.Module) -> None:
    assert not is_foldable(layer)


def test_the_copy_of_a_papers_network_is_folded_gives_its_results_and_can_be_split() -> None:
    settings = load_recipe("rahimi2022").network.model_copy(update={"channels": (4, 8), "strides": (2,)})
    torch.manual_seed(0)
    network = build_network(settings, 2)
    kept = copy.deepcopy(network.state_dict())
    copied = channels_last_copy(network, torch.device("cpu"))
    assert any(isinstance(layer, FoldedConvolution) for layer in copied.modules())
    assert list(copied.state_dict()) == list(kept)
    window = torch.randn(2, 1, 8, 8, 8)
    split = split_before_dropout(copied, window)
    with torch.no_grad():
        torch.testing.assert_close(copied(window), network.eval()(window), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(split.repeated(*split.shared(window)), copied(window))
