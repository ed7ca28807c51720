"""Networks by name. To add one, write its builder beside `unet.py` and enter it in `NETWORKS`; see also `own`."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from activelabel.errors import NotFoundError
from activelabel.networks.anisotropic_unet import IN_PLANE_LEVELS, build_anisotropic_unet
from activelabel.networks.own import build_from_bundle, build_named
from activelabel.networks.padding import repeat_at_ends
from activelabel.networks.residual_unet import build_residual_unet
from activelabel.networks.unet import build_unet, build_unet2d
from activelabel.recipes import NetworkSettings

NetworkBuilder = Callable[[NetworkSettings, int, int], nn.Module]
"""From settings and the numbers of classes and of channels of an image to a network."""

NETWORKS: dict[str, NetworkBuilder] = {
    "anisotropic_unet": build_anisotropic_unet,
    "residual_unet": build_residual_unet,
    "unet": build_unet,
    "unet2d": build_unet2d,
}


def build_network(settings: NetworkSettings, classes: int, inputs: int = 1) -> nn.Module:
    """A new network of the kind that `settings` names, with random weights.

    It takes images (B, inputs, *S) and gives logits (B, classes, *S), background first. Each of its levels has dropout
    layers (`torch.nn.Dropout` and its relatives), which Monte Carlo passes switch on.

    Raises:
        NotFoundError: there is no network of that kind.
        InvalidInputError: its sizes are not valid; or it is somebody's own code, which is missing or fails.
    """
    if settings.type is not None:
        return build_named(settings, classes, inputs)
    if settings.bundle is not None:
        return build_from_bundle(settings, classes, inputs)
    builder = NETWORKS.get(settings.kind)
    if builder is None:
        raise NotFoundError(f"network.kind '{settings.kind}' does not exist: use one of {', '.join(sorted(NETWORKS))}")
    network = builder(settings, classes, inputs)
    return repeat_at_ends(network) if settings.padding == "repeated" else network


def size_steps(settings: NetworkSettings) -> tuple[int, int, int]:
    """By axis, the number of which the size of an input must be a multiple; for networks of `NETWORKS`."""
    across = {"unet2d": 0, "anisotropic_unet": len(settings.strides) - IN_PLANE_LEVELS}
    halved = settings.strides[len(settings.strides) - max(across.get(settings.kind, len(settings.strides)), 0) :]
    in_plane = math.prod(settings.strides)
    return in_plane, in_plane, math.prod(halved)


def weight_shapes(settings: NetworkSettings, classes: int, inputs: int = 1) -> dict[str, Tensor]:
    """The weights and buffers of a network by name, for their shapes and types.

    Nothing is drawn from torch's generator. Nothing is allocated either, unless the network is somebody's own code,
    which may need numbers while it is built.
    """
    if settings.is_own:
        with torch.random.fork_rng(devices=[]):
            state = build_network(settings, classes, inputs).state_dict()
        return {name: values.to("meta") for name, values in state.items()}
    with torch.device("meta"):
        return dict(build_network(settings, classes, inputs).state_dict())
