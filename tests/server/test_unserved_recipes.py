"""Recipes that can be read and not yet be run are refused at start, and offered to nobody."""

from pathlib import Path

import pytest

from activelabel.errors import InvalidInputError, NotFoundError
from activelabel.recipes import load_recipe, recipe_names, served_recipe_names
from activelabel.server.project import plan_project
from activelabel.server.strategies import STRATEGIES


@pytest.mark.parametrize("name", ["nath2022", "quick_warm"])
def test_a_recipe_whose_stages_the_server_lacks_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        plan_project("app", str(tmp_path), {"recipe": name, "labels": "heart"})

    assert str(refused.value) == (
        f"recipe {name}: the server cannot yet do what its [proxy] and [semi_supervised] asks for; use one of "
        "chlebus2022, ma2024, quick, quick_slices, rahimi2022, or a recipe of your own without"
    )


@pytest.mark.parametrize("name", sorted(set(recipe_names()) - {"nath2022", "quick_warm"}))
def test_all_others_are_offered_and_run(tmp_path: Path, name: str) -> None:
    assert name in served_recipe_names()
    project = plan_project("app", str(tmp_path), {"recipe": name, "labels": "heart"})
    assert project.recipe.query.strategy in STRATEGIES


def test_a_misspelt_recipe_is_answered_by_those_that_run() -> None:
    with pytest.raises(NotFoundError, match="use one of chlebus2022, ma2024, quick, quick_slices, rahimi2022, or the"):
        load_recipe("nath")
