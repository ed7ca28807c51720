"""Recipes: one TOML file per method. `load_recipe` reads one by its name, or a user's own by its path."""

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from activelabel.backports import tomllib
from activelabel.errors import InvalidInputError, NotFoundError
from activelabel.names import RECIPES_FOLDER as FOLDER
from activelabel.names import recipe_names
from activelabel.recipes.consistency import check_recipe
from activelabel.recipes.network_section import NetworkSettings
from activelabel.recipes.schema import LEAST_REPEATS, QuerySettings, Recipe
from activelabel.recipes.sections import (
    Loss,
    PredictionSettings,
    PreprocessingSettings,
    ProxySettings,
    RegionSettings,
    SemiSupervisedSettings,
    TrainingSettings,
)
from activelabel.recipes.strategy_traits import needs_repeats

__all__ = [
    "FOLDER",
    "LEAST_REPEATS",
    "Loss",
    "NetworkSettings",
    "PredictionSettings",
    "PreprocessingSettings",
    "ProxySettings",
    "QuerySettings",
    "Recipe",
    "RegionSettings",
    "SemiSupervisedSettings",
    "TrainingSettings",
    "check_recipe",
    "first_problem",
    "load_recipe",
    "needs_repeats",
    "recipe_names",
]


def load_recipe(name_or_path: str) -> Recipe:
    """Read the recipe called `name_or_path`, or the TOML file at that path.

    Raises:
        NotFoundError: there is no such recipe and no such file, or its strategy does not exist.
        InvalidInputError: the file is no TOML, or a key of it is missing, unknown, out of range, or in conflict with
            another.
    """
    path = Path(name_or_path) if name_or_path.endswith(".toml") else FOLDER / f"{name_or_path}.toml"
    known = recipe_names()
    if not path.is_file() or (path.parent == FOLDER and path.stem not in known):
        raise NotFoundError(
            f"recipe '{name_or_path}' does not exist: use one of {', '.join(known)}, or the path of a .toml file"
        )
    try:
        written = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # ValueError: also for a number with too many digits
        raise InvalidInputError(f"recipe {path.name} is not a TOML file: {error}") from error
    try:
        # As JSON, in which an array may be a tuple and yet `true` is no number, and "5" none either.
        recipe = Recipe.model_validate_json(json.dumps(written, default=str), strict=True)
        check_recipe(recipe)
    except ValidationError as error:
        raise InvalidInputError(f"recipe {path.name}: {first_problem(error)}{_nearest_key(error)}") from error
    except (InvalidInputError, NotFoundError) as error:
        raise type(error)(f"recipe {path.name}: {error}") from error
    return recipe


def first_problem(error: ValidationError) -> str:
    """The first problem of a pydantic error as one line: key, given value, allowed values."""
    problem = _told(error)
    key = ".".join(str(part) for part in problem["loc"]) or "settings"
    if problem["type"] == "extra_forbidden":
        return f"'{key}' is not a known key"
    if problem["type"] == "missing":
        return f"'{key}' is missing"
    said = problem["msg"].removeprefix("Value error, ")
    return f"'{key}' is {problem['input']!r}: {said[0].lower()}{said[1:]}"


def _told(error: ValidationError) -> ErrorDetails:
    """The problem that is told: the first unknown key, since a misspelt one is missing too, else the first of all."""
    problems = error.errors()
    return next((problem for problem in problems if problem["type"] == "extra_forbidden"), problems[0])


def _nearest_key(error: ValidationError) -> str:
    """What a recipe calls the key that its first problem does not know; nothing if that is another problem."""
    problem = _told(error)
    if problem["type"] != "extra_forbidden":
        return ""
    *sections, key = (str(part) for part in problem["loc"])
    known: Mapping[str, FieldInfo] = Recipe.model_fields
    for section in sections:
        known = _keys_of(known[section])
    nearest = difflib.get_close_matches(key, known, n=1)
    if nearest:
        return f": do you mean '{'.'.join([*sections, *nearest])}'?"
    return f": use one of {', '.join(known)}"


def _keys_of(field: FieldInfo) -> Mapping[str, FieldInfo]:
    """The keys of a section, which may be optional."""
    kinds = [field.annotation, *get_args(field.annotation)]
    return next(kind.model_fields for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel))
