"""Checks, before anything is annotated, that a recipe's network can do what the recipe asks of it."""

import torch
from torch import nn

from activelabel.errors import InvalidInputError
from activelabel.networks import build_network, size_steps, weight_shapes
from activelabel.networks.bottleneck import bottleneck
from activelabel.prediction.dropout import random_layers
from activelabel.prediction.windows import Size3D
from activelabel.recipes import Recipe


def check_network(recipe: Recipe, classes: int) -> None:
    """Check that the network can be built, takes the patches and windows, and drops values if there are repeats.

    A network of a user's own is built for this and run once, on an empty window; nothing is drawn from torch's global
    generator.

    Raises:
        NotFoundError: there is no network of that kind.
        InvalidInputError: it cannot be built, does not take a patch or window, has no dropout, gives another output
            than logits of `classes` classes, or has no lowest level and the strategy needs features.
    """
    settings = recipe.network
    if not settings.is_own:
        weight_shapes(settings, classes, recipe.channel_count)  # builds it without memory
        _check_multiples(recipe)
        if settings.dropout == 0:
            _check_repeats(recipe, "network.dropout is 0")
        return
    subject = f"network '{settings.code}'"
    with torch.random.fork_rng(devices=[]):
        network = build_network(settings, classes, recipe.channel_count).eval()
    if not random_layers(network):
        _check_repeats(recipe, f"{subject} has no dropout layer with a rate above 0")
    if recipe.goes_by_features(recipe.query.strategy):
        bottleneck(network)
    _check_output(subject, network, recipe.prediction.window_size, classes, recipe.channel_count)


def _check_multiples(recipe: Recipe) -> None:
    """Raise an error if a patch or a window has a size that cannot be halved as often as the network does."""
    sizes = {"training.patch_size": recipe.training.patch_size, "prediction.window_size": recipe.prediction.window_size}
    if recipe.proxy is not None and recipe.needs_proxy:
        sizes["proxy.patch_size"] = recipe.proxy.patch_size
    steps = size_steps(recipe.network)
    for key, size in sizes.items():
        if any(length % step for length, step in zip(size, steps, strict=True)):
            raise InvalidInputError(
                f"recipe {recipe.name}: {key} is {list(size)}, and a {recipe.network.kind} with strides "
                f"{list(recipe.network.strides)} takes multiples of {list(steps)}: change one of them"
            )


def _check_repeats(recipe: Recipe, problem: str) -> None:
    repeats = {"prediction.repeats": recipe.prediction.repeats}
    if recipe.proxy is not None and recipe.needs_proxy:
        repeats["proxy.repeats"] = recipe.proxy.repeats
    for key, count in repeats.items():
        if count > 0:
            raise InvalidInputError(
                f"recipe {recipe.name}: {problem}, and {key} is {count}: repeats would be identical; use dropout "
                "layers (torch.nn.Dropout), or set repeats to 0 with entropy, least_confidence or margin"
            )


def _check_output(subject: str, network: nn.Module, window_size: Size3D, classes: int, inputs: int) -> None:
    wanted = (1, classes, *window_size)
    try:
        with torch.no_grad():
            logits = network(torch.zeros((1, inputs, *window_size)))
    except Exception as error:  # somebody's own code may raise anything
        lines = str(error).strip().splitlines() or [""]
        raise InvalidInputError(
            f"{subject}: does not take a window of {window_size} voxels ({type(error).__name__}: {lines[0][:200]}): "
            "change it, or prediction.window_size"
        ) from error
    got = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
    if got != wanted:
        raise InvalidInputError(f"{subject}: expected logits {wanted} from a window (1, {inputs}, …), got {got}")
