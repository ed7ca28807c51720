"""From the proxy model to the task: every layer but the last (nath2022, 3.2)."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from activelabel.networks import build_network
from activelabel.recipes import NetworkSettings
from activelabel.training.checkpoints import ModelDescription, load_model

PROXY_LABELS = ("foreground",)
"""What a proxy model tells from background."""


@dataclass(frozen=True)
class TakenOver:
    """Names of a network's weights and buffers, in its order: those that came from the proxy model, and those left."""

    taken: tuple[str, ...]
    left: tuple[str, ...]


def proxy_description(task: ModelDescription) -> ModelDescription:
    """What a proxy model must be for its weights to fit a task: the same network and preprocessing, its own label."""
    return task.model_copy(update={"labels": PROXY_LABELS})


def take_over(network: nn.Module, task: ModelDescription, proxy_file: Path, sha256: str | None = None) -> TakenOver:
    """Copy every layer but the last of a proxy model into `network`, in place.

    The last layer is left also where the task has two classes as the proxy task has (the paper takes it over there):
    its foreground is another one. What an optimiser remembers is no part of a model, so nothing of it is carried over.

    Args:
        network: of the task; `build_network(task.network, task.classes)`, on any device.
        task: what it is.
        proxy_file: of `save_model`, with `proxy_description(task)`.
        sha256: of that file as it was published, to be compared.

    Raises:
        InvalidInputError: the file is missing, no model of this app, or of another network, other channels or another
            preprocessing than the task's; nothing was copied then.
    """
    proxy = load_model(proxy_file, proxy_description(task), sha256).state_dict()
    own = network.state_dict()
    last = last_layer(task.network)
    taken = {name: values for name, values in proxy.items() if name not in last}
    network.load_state_dict({**own, **taken})
    return TakenOver(tuple(name for name in own if name in taken), tuple(name for name in own if name not in taken))


def last_layer(settings: NetworkSettings) -> frozenset[str]:
    """Names of the weights of a network's last layer: those whose shape depends on the number of classes."""
    with torch.device("meta"):  # Shapes only: nothing is allocated and nothing drawn.
        two, three = (build_network(settings, classes).state_dict() for classes in (2, 3))
    return frozenset(name for name, values in two.items() if values.shape != three[name].shape)
