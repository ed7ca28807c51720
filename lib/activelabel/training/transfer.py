"""Transfer from the proxy model to the task: every layer but the last (nath2022, 3.2)."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from activelabel.data.labels.label_map import label_map_of
from activelabel.networks import weight_shapes
from activelabel.recipes import NetworkSettings
from activelabel.training.checkpoints import ModelDescription, load_model

PROXY_LABELS = label_map_of(("foreground",))
"""The label of a proxy model, its only foreground class."""


@dataclass(frozen=True)
class TakenOver:
    """Names of a network's weights and buffers, in its order: those from the proxy model, and the others."""

    taken: tuple[str, ...]
    left: tuple[str, ...]


def proxy_description(task: ModelDescription) -> ModelDescription:
    """The description of a proxy model that fits a task: the same network and preprocessing, its own label."""
    return task.model_copy(update={"labels": PROXY_LABELS})


def take_over(network: nn.Module, task: ModelDescription, proxy_file: Path, sha256: str | None = None) -> TakenOver:
    """Copy every layer but the last of a proxy model into `network`, in place.

    The last layer is left out even if the task has two classes like the proxy task (where the paper takes it over): its
    foreground is another one. The state of an optimiser is no part of a model and is not carried over.

    Args:
        network: the network of the task, `build_network(task.network, task.classes)`, on any device.
        task: the description of the task's model.
        proxy_file: a file from `save_model`, with `proxy_description(task)`.
        sha256: the SHA-256 of the published file, to be compared.

    Raises:
        InvalidInputError: the file is missing, no model of this app, or of another network, other channels or another
            preprocessing than the task's; nothing is copied in that case.
    """
    proxy = load_model(proxy_file, proxy_description(task), sha256).state_dict()
    own = network.state_dict()
    left_out = last_layer(task.network)
    taken = {name: values for name, values in proxy.items() if name not in left_out}
    network.load_state_dict({**own, **taken})
    return TakenOver(tuple(name for name in own if name in taken), tuple(name for name in own if name not in taken))


def last_layer(settings: NetworkSettings) -> frozenset[str]:
    """Names of the weights of a network's last layer: those whose shape depends on the number of classes."""
    two, three = (weight_shapes(settings, classes) for classes in (2, 3))
    return frozenset(name for name, values in two.items() if values.shape != three[name].shape)
