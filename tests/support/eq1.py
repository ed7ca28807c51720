"""rahimi2022, eq. 1, computed apart from the engine: one pass at a time, all maps kept, numpy's variance."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from numpy.typing import NDArray
from torch import Tensor, nn

from activelabel.data.preprocessing import prepare_image
from activelabel.data.volumes import read_volume
from activelabel.prediction.dropout import Draw, monte_carlo_dropout
from activelabel.recipes import Recipe
from activelabel.training.checkpoints import ModelDescription, load_model


def summed_variance(model: Path, image: Path, info: dict[str, Any]) -> float:
    """Return the mean over classes of the variance over repeats, summed over the volume, in float32.

    This function and the server share the reading of the image and the model, and the dropout masks: with other masks
    the test would compare two different draws of five repeats. Padding, windows, blending, statistics and sum are
    MONAI's and numpy's.
    """
    recipe = Recipe.model_validate(info["recipe"])
    description = ModelDescription(
        recipe=recipe.name, labels=info["labels"], network=recipe.network, preprocessing=recipe.preprocessing
    )
    network = load_model(model, description)
    prepared = prepare_image(read_volume(image), recipe.preprocessing).tensor[0].numpy()
    beyond = [room(*sizes) for sizes in zip(prepared.shape, recipe.prediction.window_size, strict=True)]
    tensor = torch.from_numpy(np.pad(prepared, beyond, mode="reflect"))[None, None]
    seed = int(info["settings"]["seed"])
    repeats = [one_pass(network, tensor, recipe, seed, repeat) for repeat in range(recipe.prediction.repeats)]
    inside = tuple(slice(before, before + size) for (before, _), size in zip(beyond, prepared.shape, strict=True))
    return float(np.var(np.stack(repeats), axis=0).mean(axis=0)[inside].sum())


def room(volume: int, window: int) -> tuple[int, int]:
    """Return the voxels to pad before and after a volume smaller than a window; an odd voxel goes after."""
    missing = max(window - volume, 0)
    return missing // 2, missing - missing // 2


def one_pass(network: nn.Module, tensor: Tensor, recipe: Recipe, seed: int, repeat: int) -> NDArray[np.float32]:
    """Return the probabilities `(C, *S)` of one stochastic pass over the volume."""
    places = itertools.count()

    def probabilities(window: Tensor) -> Tensor:
        dropout.begin([Draw(seed, repeat, next(places))])
        softmax = torch.softmax(network(window), dim=1)
        if window.min() == window.max():  # outside the body: background with certainty
            softmax = torch.zeros_like(softmax)
            softmax[:, 0] = 1
        return softmax

    size, overlap = recipe.prediction.window_size, recipe.prediction.window_overlap
    with torch.no_grad(), monte_carlo_dropout(network, tensor.device, channels_last=True) as dropout:
        blended = sliding_window_inference(tensor, size, 1, probabilities, overlap, mode="gaussian", sigma_scale=0.125)
    return np.asarray(blended[0])
