"""What of some weights fits a network, counted by hand."""

import pytest
import torch
from torch import Tensor

from activelabel.errors import InvalidInputError
from activelabel.exchange.fitting import fit
from activelabel.exchange.weights_files import FoundWeights
from activelabel.networks import build_network
from activelabel.recipes import NetworkSettings, PreprocessingSettings
from activelabel.training.checkpoints import ModelDescription

NETWORK = NetworkSettings(kind="residual_unet", channels=(2, 4), strides=(2,), residual_units=1)
WANTED = ModelDescription(
    recipe="tiny", labels=("liver", "tumour"), network=NETWORK, preprocessing=PreprocessingSettings(intensity="zscore")
)
HEAD = {"head.weight", "head.bias"}


def weights(settings: NetworkSettings = NETWORK, classes: int = 3) -> dict[str, Tensor]:
    with torch.random.fork_rng(devices=[]):
        return build_network(settings, classes).state_dict()


def found(content: dict[str, Tensor], description: ModelDescription | None = None) -> FoundWeights:
    return FoundWeights("file.pt", content, description)


def test_a_model_of_the_same_project_fits_as_a_whole() -> None:
    content = weights()
    fitting = fit(found(content, WANTED), WANTED)
    assert fitting.whole
    assert fitting.taken.keys() == content.keys()
    count = len(content)
    assert fitting.lines == (f"layers: {count} of the network's {count} weights fit (100.0% of its numbers)",)


def test_the_last_layer_stays_random_if_the_labels_are_others_even_of_the_same_number() -> None:
    other = WANTED.model_copy(update={"labels": ("spleen", "cyst")})
    fitting = fit(found(weights(), other), WANTED)
    assert fitting.taken.keys() == weights().keys() - HEAD
    assert "labels: spleen, cyst in the file, liver, tumour here" in fitting.lines
    assert any(line.startswith("the last layer is random at first") for line in fitting.lines)
    assert not fitting.whole


def test_other_numbers_of_labels_are_said_with_the_sizes() -> None:
    other = WANTED.model_copy(update={"labels": ("liver",)})
    fitting = fit(found(weights(classes=2), other), WANTED)
    (line,) = [line for line in fitting.lines if line.startswith("of another size")]
    assert "'head.weight' is 2x2x1x1x1, here 3x2x1x1x1" in line
    assert "'head.bias' is 2, here 3" in line


def test_another_spacing_and_network_are_said() -> None:
    other = WANTED.model_copy(
        update={
            "preprocessing": PreprocessingSettings(intensity="window", spacing_mm=(1.0, 1.0, 2.5)),
            "network": NETWORK.model_copy(update={"dropout": 0.2}),
        }
    )
    lines = fit(found(weights(), other), WANTED).lines
    assert "preprocessing.spacing_mm: 1 x 1 x 2.5 in the file, each image's own here" in lines
    assert "preprocessing.intensity: window in the file, zscore here" in lines
    assert "network.dropout: 0.2 in the file, 0.5 here" in lines


def test_an_encoder_alone_fits_whatever_its_prefix() -> None:
    whole = weights()
    encoder = {f"module.backbone.{name.removeprefix('encoder.')}": values for name, values in whole.items()
               if name.startswith("encoder.")}  # fmt: skip
    fitting = fit(found(encoder), WANTED)
    assert fitting.taken.keys() == {name for name in whole if name.startswith("encoder.")}
    assert all(torch.equal(values, whole[name]) for name, values in fitting.taken.items())
    assert "names: with module.backbone. in the file, with encoder. in the network" in fitting.lines
    share = sum(values.numel() for values in encoder.values()) / sum(values.numel() for values in whole.values())
    assert fitting.lines[0].endswith(f"({share:.1%} of its numbers)")
    assert any(line.startswith("labels, spacing, intensities: the file does not say") for line in fitting.lines)


def test_weights_in_half_precision_become_those_of_the_network() -> None:
    fitting = fit(found({name: values.half() for name, values in weights().items()}), WANTED)
    assert {values.dtype for values in fitting.taken.values()} == {torch.float32}


def test_what_fits_nowhere_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="no weight has a name of the project's network, such as 'encoder"):
        fit(found({"layer.weight": torch.ones(3)}), WANTED)
    wide = NETWORK.model_copy(update={"channels": (3, 5)})
    with pytest.raises(InvalidInputError, match="and so with all"):
        fit(found(weights(wide)), WANTED)


def test_numbers_that_are_not_finite_are_refused() -> None:
    content = weights()
    name = next(iter(content))
    content[name] = torch.full_like(content[name], torch.nan)
    with pytest.raises(InvalidInputError, match="is not finite"):
        fit(found(content), WANTED)
