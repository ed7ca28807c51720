"""A network in two parts: the part before any dropout runs once for all repeats, and only the rest is repeated.

If only the decoder has dropout, the first part is the whole encoder; else it is everything before the first dropout.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from activelabel.prediction.dropout import random_layers

logger = logging.getLogger(__name__)

Features = tuple[Tensor, ...]


@dataclass(frozen=True)
class SplitNetwork:
    """`repeated(*shared(windows))` equals the network in evaluation mode. Both parts use the network's own modules.

    `shared_fraction` is the share of the layers with weights that are in the first part.
    """

    shared: Callable[[Tensor], Features]
    repeated: Callable[..., Tensor]
    shared_fraction: float


def split_before_dropout(network: nn.Module, example: Tensor) -> SplitNetwork:
    """Split `network` so that every operation that does not depend on a dropout layer is in the first part.

    If the network cannot be traced (its flow depends on its values), or if the parts would exchange anything but
    tensors of B items, the first part does nothing and the second is the whole network; a line in the log says so.

    Args:
        network: in evaluation mode.
        example: a batch of windows `(B, K, *S)`, B > 1, on which the first part is tried.
    """
    unsplit = SplitNetwork(lambda windows: (windows,), network, shared_fraction=0.0)
    try:
        graph = fx.symbolic_trace(network).graph
    except (fx.proxy.TraceError, TypeError, RuntimeError) as error:
        logger.info("nothing is shared between repeats: the network cannot be traced (%s)", error)
        return unsplit
    split = _split(network, graph)
    features = split.shared(example)
    if not all(isinstance(value, Tensor) and value.ndim and len(value) == len(example) for value in features):
        logger.info("nothing is shared between repeats: the network hands on more than tensors of its batch")
        return unsplit
    return split


def _split(network: nn.Module, graph: fx.Graph) -> SplitNetwork:
    random = _random_nodes(network, graph)
    shared, repeated = fx.Graph(), fx.Graph()
    in_shared: dict[fx.Node, fx.Node] = {}
    in_repeated: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        if node not in random:
            in_shared[node] = shared.node_copy(node, in_shared.__getitem__)
    used_later = [node for node in in_shared if any(user in random for user in node.users)]
    handed_on = [node for node in used_later if node.op != "get_attr"]  # both parts have access to all weights
    shared.output(tuple(in_shared[node] for node in handed_on))
    for node in handed_on:
        in_repeated[node] = repeated.placeholder(node.name)
    for node in graph.nodes:
        if node in random or (node.op == "get_attr" and node in used_later):
            in_repeated[node] = repeated.node_copy(node, in_repeated.__getitem__)
    layers = [node for node in graph.nodes if _has_weights(network, node)]
    fraction = sum(node not in random for node in layers) / max(len(layers), 1)
    return SplitNetwork(fx.GraphModule(network, shared), fx.GraphModule(network, repeated), fraction)


def _random_nodes(network: nn.Module, graph: fx.Graph) -> set[fx.Node]:
    """The nodes that depend on a dropout layer, and the output."""
    layers = {id(layer) for layer in random_layers(network)}
    random: set[fx.Node] = set()
    for node in graph.nodes:
        is_layer = node.op == "call_module" and id(network.get_submodule(str(node.target))) in layers
        if is_layer or node.op == "output" or any(source in random for source in node.all_input_nodes):
            random.add(node)
    return random


def _has_weights(network: nn.Module, node: fx.Node) -> bool:
    """Whether a node is a layer with weights, or a function to which weights are given, as faster layers for a CPU."""
    if node.op == "call_module":
        return next(network.get_submodule(str(node.target)).parameters(), None) is not None
    return node.op == "call_function" and any(source.op == "get_attr" for source in node.all_input_nodes)


class SharedFeatures:
    """Features of the shared part for windows of one volume, kept as far as they fit into `kept_bytes`.

    Features that do not fit are computed again for each request.
    """

    def __init__(self, shared: Callable[[Tensor], Features], kept_bytes: int) -> None:
        self._shared = shared
        self._free_bytes = kept_bytes
        self._kept: dict[tuple[int, ...], Features] = {}

    def of(self, numbers: tuple[int, ...], windows: Callable[[tuple[int, ...]], Tensor]) -> Features:
        """The features of the windows with these `numbers`; `windows` cuts them out of the volume."""
        if numbers in self._kept:
            return self._kept[numbers]
        features = self._shared(windows(numbers))
        needed = sum(value.nbytes for value in features)
        if needed <= self._free_bytes:
            self._free_bytes -= needed
            self._kept[numbers] = features
        return features


def each_repeated(features: Tensor, times: int) -> Tensor:
    """Repeat each item: `(B, …)` → `(B · times, …)`, an item's repeats beside each other, in the same memory layout."""
    if times == 1:
        return features
    if features.ndim == 5 and features.is_contiguous(memory_format=torch.channels_last_3d):
        # Channels last in the shape too, an item is one piece of memory: copied whole, in a quarter of the time.
        return features.movedim(1, -1).repeat_interleave(times, dim=0).movedim(-1, 1)
    return features.repeat_interleave(times, dim=0)
