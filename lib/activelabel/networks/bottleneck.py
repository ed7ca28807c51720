"""The lowest level of a network, where it sees the most at once."""

from monai.networks.layers.simplelayers import SkipConnection
from torch import nn

from activelabel.errors import InvalidInputError
from activelabel.networks.anisotropic_unet import AnisotropicUNet
from activelabel.networks.residual_unet import ResidualUNet


def bottleneck(network: nn.Module) -> nn.Module:
    """The lowest level of a network from `build_network`; its output is (B, F, *s), F the last of its `channels`.

    A network of a user's own names it as its module `bottleneck`.

    Raises:
        InvalidInputError: it does not, and is no network of this app or U-Net of MONAI.
    """
    named = getattr(network, "bottleneck", None)
    if isinstance(named, nn.Module):
        return named
    if isinstance(network, AnisotropicUNet | ResidualUNet):
        return network.encoder[-1]
    # MONAI nests its levels, each in a connection around the next one: the innermost is found last.
    connections = [module for module in network.modules() if isinstance(module, SkipConnection)]
    if not connections:
        raise InvalidInputError(
            f"network {type(network).__name__}: has no lowest level that is known, from which features could be taken: "
            "give it a module `bottleneck` whose output is (B, F, w, h, d), or use a strategy that needs no features"
        )
    lowest: nn.Module = connections[-1].submodule
    return lowest
