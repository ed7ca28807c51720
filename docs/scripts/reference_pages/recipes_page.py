"""Every key of a recipe, and the recipes that come with the package."""

import types
from collections.abc import Iterator
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from activelabel.recipes import Recipe, load_recipe, recipe_names
from reference_pages import fields
from reference_pages.markdown import code, page, section, table

INTRODUCTION = """
A recipe is a TOML file with one method: each number of a paper, or of yours. `--conf recipe NAME` takes one that
comes with the package, `--conf recipe FILE.toml` one of your own. An unknown key is an error.
""".strip()


def recipes_page() -> str:
    """The page."""
    shipped = [load_recipe(name) for name in recipe_names()]
    names = table(("recipe", "source", "title"), ((code(one.name), one.source, one.title) for one in shipped))
    own = {name: field for name, field in Recipe.model_fields.items() if section_of(field) is None}
    top = table(("key", "description"), ((code(name), field.description or "") for name, field in own.items()))
    parts = [section("The recipes", names), section("Keys of the file itself", top)]
    for name, field in Recipe.model_fields.items():
        model = section_of(field)
        if model is not None:
            parts.append(section(f"[{name}]", *_about(model, field), table(fields.HEADER, fields.rows(model))))
    return page("Recipes", INTRODUCTION, *parts)


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a section of a recipe; None for a plain key."""
    kinds = get_args(field.annotation) if isinstance(field.annotation, types.UnionType) else (field.annotation,)
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _about(model: type[BaseModel], field: FieldInfo) -> Iterator[str]:
    yield (model.__doc__ or "").strip().replace("\n    ", "\n")
    if field.default is None:
        yield "Without this section the recipe has no such stage."
