"""Each packaged recipe can be run, and those of the papers have the papers' numbers."""

import math
import re
from collections.abc import Collection
from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError

from activelabel import recipes
from activelabel.errors import InvalidInputError
from activelabel.networks import build_network
from activelabel.prediction.predictor import Predictor
from activelabel.recipes import (
    FOLDER,
    ProxySettings,
    Recipe,
    SemiSupervisedSettings,
    TrainingSettings,
    load_recipe,
    recipe_names,
)
from activelabel.training.augmentation import AUGMENTATIONS
from activelabel.training.losses.by_name import LOSSES


@pytest.fixture(params=recipe_names())
def recipe(request: pytest.FixtureRequest) -> Recipe:
    """Each recipe in turn."""
    return load_recipe(request.param)


def test_a_recipe_has_the_name_of_its_file(recipe: Recipe) -> None:
    assert load_recipe(recipe.name) == recipe


def test_a_network_of_a_recipe_halves_its_windows_and_patches_evenly(recipe: Recipe) -> None:
    """The network is run on the smallest windows that can be halved as often."""
    strides = math.prod(recipe.network.strides)
    for size in (recipe.prediction.window_size, recipe.training.patch_size):
        smallest = tuple(math.gcd(side, 2 * strides) for side in size)
        narrow = tuple(max(width // 8, 2) for width in recipe.network.channels)
        network = build_network(recipe.network.model_copy(update={"channels": narrow}), classes=2)

        Predictor(network, smallest, recipe.prediction.window_overlap)


@pytest.mark.parametrize(("key", "known"), [("loss", LOSSES), ("augmentation", AUGMENTATIONS)])
def test_the_names_allowed_in_a_recipe_are_the_existing_ones(key: str, known: Collection[str]) -> None:
    assert set(get_args(TrainingSettings.model_fields[key].annotation)) == set(known)


def test_the_sections_defaults_are_the_papers_numbers() -> None:
    recipe = load_recipe("nath2022")

    assert recipe.proxy == ProxySettings()
    assert recipe.semi_supervised == SemiSupervisedSettings()


@pytest.mark.parametrize(
    ("setting", "cold_start", "weights", "semi_supervised", "strategy", "needs_proxy"),
    [
        ("Rand", "none", False, False, "random_volumes", False),
        ("Var", "none", False, False, "mean_variance", False),
        ("Ent", "none", False, False, "mean_entropy", False),
        ("Var_Semi", "none", False, True, "mean_variance", False),
        ("Ent_Semi", "none", False, True, "mean_entropy", False),
        ("Rand_Semi", "none", False, True, "random_volumes", False),
        ("ProxyRank", "proxy_rank", True, False, "proxy_rank", True),
        ("ProxyRank_Semi", "proxy_rank", True, True, "proxy_rank", True),
        ("ProxyRank_Var", "proxy_rank", True, False, "mean_variance", True),
        ("ProxyRank_Var_Semi", "proxy_rank", True, True, "mean_variance", True),
        ("ProxyRank_Ent", "proxy_rank", True, False, "mean_entropy", True),
        ("ProxyRank_Ent_Semi", "proxy_rank", True, True, "mean_entropy", True),
    ],
)
def test_the_twelve_settings_of_nath2022_are_four_flags_of_one_recipe(
    setting: str, cold_start: str, weights: bool, semi_supervised: bool, strategy: str, needs_proxy: bool
) -> None:
    """Supplementary table 1: one file is changed at the four keys, and read as every recipe is."""
    content = load_recipe("nath2022").model_dump(mode="json")
    content["proxy"] |= {"cold_start": cold_start, "pretrained_weights": weights}
    content["semi_supervised"]["enabled"] = semi_supervised
    content["query"]["strategy"] = strategy

    recipe = Recipe.model_validate(content)

    assert (recipe.needs_proxy, recipe.fine_tunes) == (needs_proxy, semi_supervised)
    assert ("ProxyRank" in setting, "Semi" in setting) == (needs_proxy, semi_supervised)


def test_without_their_sections_there_is_neither_proxy_nor_second_stage() -> None:
    recipe = load_recipe("quick")

    assert (recipe.needs_proxy, recipe.fine_tunes) == (False, False)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("window_hu = -125.0", r"'proxy\.window_hu' is -125\.0: input should be greater than 0"),
        ("window_hu = 0", r"'proxy\.window_hu' is 0: input should be greater than 0"),
        ("window_hu = inf", r"'proxy\.window_hu' is inf: input should be a finite number"),
        ("level_hu = nan", r"'proxy\.level_hu' is nan: input should be a finite number"),
    ],
)
def test_an_empty_window_is_one_line(tmp_path: Path, change: str, line: str) -> None:
    file = tmp_path / "mine.toml"
    text = (Path(recipes.__file__).parent / "quick_warm.toml").read_text(encoding="utf-8")
    key = change.partition(" ")[0]
    file.write_text(text.replace({"window_hu": "window_hu = 125.0", "level_hu": "level_hu = 50.0"}[key], change))

    with pytest.raises(InvalidInputError, match=rf"^recipe mine\.toml: {line}$"):
        load_recipe(str(file))


# Each a line of `chlebus2022`, what replaces it, and how the one line of the error goes on.
WRONG = {
    "a number in quotes": (
        r"epochs = \d+",
        'epochs = "5"',
        r"'training\.epochs' is '5': input should be a valid",
    ),
    "true as a number": (
        r"batch_size = \d+",
        "batch_size = true",
        r"'training\.batch_size' is True: input should",
    ),
    "1 as true": (r"racing = \w+", "racing = 1", r"'prediction\.racing' is 1: input should be a valid b"),
    "an infinite rate": (
        r"learning_rate = \S+",
        "learning_rate = inf",
        r"'training\.learning_rate' is inf: input",
    ),
    "a date": (
        r"learning_rate = \S+",
        "learning_rate = 2024-01-01",
        r"'training\.learning_rate' is '2024-01-01': ",
    ),
    "a stride of nothing": (r"strides = \[2", "strides = [0", r"'network\.strides\.0' is 0: input should be greater"),
    "a window from high to low": (
        r"window_hu = \S+ \S+",
        "window_hu = [240.0, -160.0]",
        r"'preprocessing\.window_hu' is .*: the first must be b",
    ),
    "an even cube": (
        r"dilation_kernel = 11",
        "dilation_kernel = 10",
        r"'regions\.dilation_kernel' is 10: a cube",
    ),
    "a key with a slip": (
        r"epochs =",
        "epoch =",
        r"'training\.epoch' is not a known key: .* 'training\.epochs'\?",
    ),
    "a section with a slip": (r"\[regions\]", "[region]", r"'region' is not a known key: do you mean 'regions'\?"),
    "a key from elsewhere": (
        r"racing =",
        "wheels =",
        r"'prediction\.wheels' is not a known key: use one of repeats",
    ),
    "a path as a name": (
        r'name = "\w+"',
        'name = "../mine"',
        r"'name' is '\.\./mine': files are named by it",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_line_of_a_recipe_is_one_line(tmp_path: Path, wrong: str) -> None:
    line, instead, said = WRONG[wrong]
    text, changed = re.subn(line, instead, (FOLDER / "chlebus2022.toml").read_text(encoding="utf-8"), count=1)
    assert changed == 1
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInputError, match=rf"^recipe mine\.toml: {said}[^\n]*$"):
        load_recipe(str(file))


def test_a_number_of_five_thousand_digits_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(f"epochs = {'1' * 5000}")
    with pytest.raises(InvalidInputError, match=r"^recipe mine\.toml is not a TOML file: .*"):
        load_recipe(str(tmp_path / "mine.toml"))


def test_a_strategy_that_asks_the_proxy_model_needs_its_section() -> None:
    content = load_recipe("quick").model_dump(mode="json")
    content["query"]["strategy"] = "proxy_rank"

    with pytest.raises(ValidationError, match=r"query\.strategy proxy_rank asks a proxy model: add a section"):
        Recipe.model_validate(content)

    content["proxy"] = {"cold_start": "none", "pretrained_weights": False}
    assert Recipe.model_validate(content).needs_proxy


def test_the_proxy_model_cannot_start_with_volumes_where_slices_are_asked_for() -> None:
    content = load_recipe("quick_slices").model_dump(mode="json")
    content["query"]["start_strategy"] = "random_slices"
    content["proxy"] = {}

    with pytest.raises(ValidationError, match=r"proxy\.cold_start proxy_rank asks for volumes and query\.start_str"):
        Recipe.model_validate(content)

    content["proxy"]["cold_start"] = "none"
    assert Recipe.model_validate(content).needs_proxy
