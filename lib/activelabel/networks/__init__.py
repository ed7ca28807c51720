"""Networks by name. To add one, write its builder beside `unet.py` and enter it in `NETWORKS`."""

from collections.abc import Callable

from torch import nn

from activelabel.errors import NotFoundError
from activelabel.networks.anisotropic_unet import build_anisotropic_unet
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
        InvalidInputError: its sizes are not valid.
    """
    builder = NETWORKS.get(settings.kind)
    if builder is None:
        raise NotFoundError(f"network.kind '{settings.kind}' does not exist: use one of {', '.join(sorted(NETWORKS))}")
    return builder(settings, classes, inputs)
