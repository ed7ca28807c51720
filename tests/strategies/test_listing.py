"""The order in which clients are offered the strategies, and their descriptions."""

from pathlib import Path

import pytest

from activelabel.project.opening import plan_project
from activelabel.project.project import Project
from activelabel.recipes import load_recipe, recipe_names
from activelabel.recipes.strategy_traits import TRAITS
from activelabel.strategies.catalogue import build_strategies, strategy_names
from activelabel.strategies.listing import in_order, suiting

NAMES = strategy_names(load_recipe("quick"))


def project_of(folder: Path, **conf: str) -> Project:
    return plan_project("app", str(folder), {"labels": "ball", **conf})


@pytest.mark.parametrize("name", recipe_names())
def test_the_first_that_slicer_takes_is_the_recipes_own(tmp_path: Path, name: str) -> None:
    project = project_of(tmp_path, recipe=name)
    names = list(build_strategies(project))
    assert names[:2] == ["recipe", project.recipe.query.strategy]
    assert names[-1] == "random"
    assert len(names) == len(set(names))


def test_a_project_of_volumes_is_offered_what_asks_for_volumes_first() -> None:
    assert in_order(NAMES, "variance")[:6] == [
        "recipe", "variance", "random_volumes", "foreground_random", "uncertainty_volumes", "blend",
    ]  # fmt: skip
    kinds = [TRAITS[name].asks_slices for name in in_order(NAMES, "variance")[1:-1]]
    assert kinds == sorted(kinds)


def test_a_project_of_slices_is_offered_what_asks_for_slices_first() -> None:
    assert in_order(NAMES, "uncertainty_slices")[:5] == [
        "recipe", "uncertainty_slices", "random_slices", "foreground_random_slices", "blend_slices",
    ]  # fmt: skip
    kinds = [not TRAITS[name].asks_slices for name in in_order(NAMES, "uncertainty_slices")[1:-1]]
    assert kinds == sorted(kinds)


def test_the_listing_holds_every_strategy_and_no_other() -> None:
    for own in NAMES:
        assert sorted(in_order(NAMES, own)) == sorted([*NAMES, "recipe", "random"])
        assert suiting(NAMES, own)[0] == own


def test_the_strategy_of_the_settings_counts_as_the_recipes_own(tmp_path: Path) -> None:
    built = build_strategies(project_of(tmp_path, recipe="quick", strategy="random_slices"))
    assert list(built)[:3] == ["recipe", "random_slices", "foreground_random_slices"]
    assert built["recipe"].description == (
        "The recipe's own strategy: random_slices, as the recipe quick or --conf strategy says."
    )


def test_the_entry_named_random_says_that_it_is_the_recipes_own_strategy(tmp_path: Path) -> None:
    described = build_strategies(project_of(tmp_path, recipe="quick", strategy="entropy"))["random"].description
    assert described.startswith("Not random: the recipe's own strategy, entropy, as 'recipe'")
    assert described.endswith("True random is random_volumes, or random_slices.")


def test_each_description_says_what_the_strategy_needs_and_whether_it_is_for_experts(tmp_path: Path) -> None:
    built = build_strategies(project_of(tmp_path, recipe="quick", strategy="variance"))
    described = {name: strategy.description for name, strategy in built.items()}
    suit = {"variance", "random_volumes", "foreground_random", "uncertainty_volumes", "blend"}
    for name in set(built) - {"recipe", "random"}:
        assert ("Needs " in described[name]) == (name in suit), described[name]
        assert ("For experts; needs " in described[name]) == (name not in suit), described[name]
    assert described["random_volumes"].endswith("Needs nothing.")
    assert described["strided_slices"].endswith("For experts; needs nothing.")
    assert "needs features, which are kept only where the recipe's own strategy goes by" in described["coreset_slices"]
    assert "a model that has scored" in described["margin"]
