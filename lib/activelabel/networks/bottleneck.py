"""The lowest level of a network, where it sees the most at once."""

from monai.networks.layers.simplelayers import SkipConnection
from torch import nn

from activelabel.networks.anisotropic_unet import AnisotropicUNet
from activelabel.networks.residual_unet import ResidualUNet


def bottleneck(network: nn.Module) -> nn.Module:
    """The lowest level of a network from `build_network`; its output is (B, F, *s), F the last of its `channels`.

    Raises:
        TypeError: the kind of network is unknown.
    """
    if isinstance(network, AnisotropicUNet | ResidualUNet):
        return network.encoder[-1]
    # MONAI nests its levels, each in a connection around the next one: the innermost is found last.
    connections = [module for module in network.modules() if isinstance(module, SkipConnection)]
    if not connections:
        raise TypeError(f"{type(network).__name__} has no lowest level that is known: name it in networks.bottleneck")
    lowest: nn.Module = connections[-1].submodule
    return lowest
