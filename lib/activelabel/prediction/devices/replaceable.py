"""Layers that may be replaced by one that computes the same from the same weight."""

from typing import TypeGuard, TypeVar

from torch import nn

Layer = TypeVar("Layer", bound=nn.Module)


def is_plain(layer: nn.Module, kind: type[Layer]) -> TypeGuard[Layer]:
    """Whether a layer is of this very type, has a weight of its own, and no hook.

    `spectral_norm` and `weight_norm` of torch compute a weight in a hook, from others that are trained.
    """
    has_hooks = bool(layer._forward_pre_hooks or layer._forward_hooks)
    return type(layer) is kind and isinstance(layer._parameters.get("weight"), nn.Parameter) and not has_hooks
