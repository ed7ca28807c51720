from pathlib import Path

import pytest
import torch
from torch import nn

from activelabel.errors import InvalidInputError
from activelabel.networks import NETWORKS, build_network
from activelabel.recipes import NetworkSettings, PreprocessingSettings
from activelabel.training.checkpoints import ModelDescription, save_model
from activelabel.training.transfer import last_layer, proxy_description, take_over

SMALL = NetworkSettings(kind="residual_unet", channels=(2, 4, 6), strides=(2, 2), residual_units=1, dropout=0.2)
TASK = ModelDescription(recipe="tiny", labels=("liver", "tumour"), network=SMALL, preprocessing=PreprocessingSettings())


def a_network(settings: NetworkSettings, classes: int, seed: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_network(settings, classes)


def saved_proxy(path: Path, task: ModelDescription = TASK) -> dict[str, torch.Tensor]:
    """Write a proxy model for a task to `path`, and return its weights."""
    description = proxy_description(task)
    weights = a_network(description.network, description.classes, seed=1).state_dict()
    save_model(path, weights, description)
    return weights


@pytest.mark.parametrize("labels", [("liver",), ("liver", "tumour")])
def test_every_layer_but_the_last_is_taken_over_value_by_value(tmp_path: Path, labels: tuple[str, ...]) -> None:
    """The last layer is left out even if it would fit, as the task has two classes like the proxy task."""
    task = TASK.model_copy(update={"labels": labels})
    proxy = saved_proxy(tmp_path / "proxy.safetensors")
    network = a_network(SMALL, task.classes, seed=2)
    before = {name: values.clone() for name, values in network.state_dict().items()}

    found = take_over(network, task, tmp_path / "proxy.safetensors")

    after = network.state_dict()
    assert found.left == ("head.weight", "head.bias")
    assert found.taken == tuple(name for name in before if name not in found.left)
    for name in found.taken:
        torch.testing.assert_close(after[name], proxy[name], rtol=0, atol=0)
    for name in found.left:
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=0)
    assert not torch.equal(before["encoder.0.0.conv.unit0.conv.weight"], after["encoder.0.0.conv.unit0.conv.weight"])


LAST_LAYERS = {
    "residual_unet": {"head.weight", "head.bias"},
    "anisotropic_unet": {"head.weight", "head.bias"},
    "unet": {"model.2.conv.weight", "model.2.conv.bias"},
    "unet2d": {"model.2.conv.weight", "model.2.conv.bias"},
}


@pytest.mark.parametrize("kind", sorted(NETWORKS))
def test_the_last_layer_of_each_kind_by_name(kind: str) -> None:
    units = 1 if kind == "residual_unet" else 0

    assert last_layer(SMALL.model_copy(update={"kind": kind, "residual_units": units})) == LAST_LAYERS[kind]


def test_naming_the_last_layer_draws_nothing() -> None:
    state = torch.random.get_rng_state()
    last_layer(SMALL)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("update", "line"),
    [
        ({"channels": (2, 4, 8)}, "network.channels 2, 4, 8, expected 2, 4, 6"),
        ({"kind": "unet"}, "network.kind unet, expected residual_unet"),
        ({"normalisation": "batch"}, "network.normalisation batch, expected instance"),
    ],
)
def test_a_proxy_of_another_network_is_one_line_and_nothing_is_copied(
    tmp_path: Path, update: dict[str, object], line: str
) -> None:
    saved_proxy(tmp_path / "proxy.safetensors", TASK.model_copy(update={"network": SMALL.model_copy(update=update)}))
    network = a_network(SMALL, 3, seed=2)
    before = {name: values.clone() for name, values in network.state_dict().items()}

    with pytest.raises(InvalidInputError, match=rf"^model proxy\.safetensors: it was trained with {line}: [^\n]+$"):
        take_over(network, TASK, tmp_path / "proxy.safetensors")

    for name, values in network.state_dict().items():
        torch.testing.assert_close(values, before[name], rtol=0, atol=0)


def test_a_model_of_the_task_is_no_proxy(tmp_path: Path) -> None:
    network = a_network(SMALL, 3, seed=1)
    save_model(tmp_path / "task.safetensors", network.state_dict(), TASK)

    with pytest.raises(InvalidInputError, match="trained with labels liver, tumour, expected foreground"):
        take_over(network, TASK, tmp_path / "task.safetensors")
