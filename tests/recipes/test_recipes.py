"""Each recipe that comes with the package can be run, and the papers' say what the papers say."""

import math
from collections.abc import Collection
from typing import get_args

import pytest

from activelabel.networks import build_network
from activelabel.prediction.predictor import Predictor
from activelabel.recipes import Recipe, TrainingSettings, load_recipe, recipe_names
from activelabel.training.augmentation import AUGMENTATIONS
from activelabel.training.losses import LOSSES


@pytest.fixture(params=recipe_names())
def recipe(request: pytest.FixtureRequest) -> Recipe:
    """Each recipe in turn."""
    return load_recipe(request.param)


def test_a_recipe_is_called_what_its_file_is_called(recipe: Recipe) -> None:
    assert load_recipe(recipe.name) == recipe


def test_a_network_of_a_recipe_halves_its_windows_and_patches_evenly(recipe: Recipe) -> None:
    """Tried with windows as small as they can be that divide as often."""
    strides = math.prod(recipe.network.strides)
    for size in (recipe.prediction.window_size, recipe.training.patch_size):
        smallest = tuple(math.gcd(side, 2 * strides) for side in size)
        narrow = tuple(max(width // 8, 2) for width in recipe.network.channels)
        network = build_network(recipe.network.model_copy(update={"channels": narrow}), classes=2)

        Predictor(network, smallest, recipe.prediction.window_overlap)


@pytest.mark.parametrize(("key", "known"), [("loss", LOSSES), ("augmentation", AUGMENTATIONS)])
def test_what_a_recipe_may_name_is_what_there_is(key: str, known: Collection[str]) -> None:
    assert set(get_args(TrainingSettings.model_fields[key].annotation)) == set(known)


def test_chlebus2022_is_the_papers() -> None:
    recipe = load_recipe("chlebus2022")

    assert (recipe.prediction.repeats, recipe.network.dropout) == (20, 0.25)
    assert recipe.preprocessing.spacing_mm == (1.0, 1.0, 1.5)
    assert recipe.training.batch_size * recipe.training.patches_per_volume == 2
    assert (recipe.training.learning_rate, recipe.training.weight_decay) == (1e-5, 0)
    assert (recipe.training.loss, recipe.training.best_by) == ("partial_dice", "jaccard")
    assert not recipe.training.from_previous
    assert (recipe.query.start_strategy, recipe.query.start) == ("random_volumes", 5)
    assert (recipe.query.strategy, recipe.query.size) == ("uncertainty_slices", 200)
    assert recipe.query.min_slice_distance == 5


def test_ma2024_is_the_papers() -> None:
    recipe = load_recipe("ma2024")

    assert recipe.training.batch_size * recipe.training.patches_per_volume == 32
    assert (recipe.training.learning_rate, recipe.training.epochs) == (1e-4, 100)
    assert (recipe.training.loss, recipe.training.augmentation) == ("bce", "blur_rotate_flip")
    assert recipe.training.from_previous
    assert recipe.training.patience
    assert (recipe.query.start_strategy, recipe.query.start) == ("random_slices", 500)
    assert (recipe.query.strategy, recipe.query.size) == ("selective_entropy_slices", 100)
