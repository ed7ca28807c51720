"""A recipe with some numbers changed, as a file of the user's own."""

import json
from collections.abc import Mapping
from pathlib import Path

from activelabel.backports import tomllib
from activelabel.recipes import FOLDER

Sections = Mapping[str, Mapping[str, object]]

HALF_AS_FINE: Sections = {
    "preprocessing": {"spacing_mm": [2.0, 2.0, 2.0]},
    "training": {"patch_size": [24, 32, 24]},
    "prediction": {"window_size": [24, 32, 24]},
}
"""For hippocampus images, of 1 mm and about 36 x 50 x 36 voxels: whole ones, an eighth of the work."""

PHANTOMS_HALF_AS_FINE: Sections = {
    "preprocessing": {"spacing_mm": [7.5, 7.5, 12.5]},
    "training": {"patch_size": [32, 32, 24]},
    "prediction": {"window_size": [48, 48, 24]},
}
"""For the sample data, of about 3.5 x 3.5 x 5.6 mm and 96 x 96 x 48 voxels: a window is a whole one."""

PROXY_HALF_AS_FINE: Sections = {"proxy": {"patch_size": [24, 32, 24]}}
"""Beside one of these, where the recipe has a proxy model."""

HALF_AS_WIDE: Sections = {"network": {"channels": [8, 16, 32, 64]}}
"""The network of four levels with half of its channels, a third of the work: for tests of what is around a network."""


def changed_recipe(name: str | Path, folder: Path, *changes: Sections) -> Path:
    """Write a packaged recipe or that of a file with these values (the last of a key wins), and return its path."""
    source = name if isinstance(name, Path) else FOLDER / f"{name}.toml"
    recipe = tomllib.loads(source.read_text(encoding="utf-8"))
    for change in changes:
        for section, values in change.items():
            recipe.setdefault(section, {}).update(values)
    file = folder / source.name
    file.write_text(_toml(recipe), encoding="utf-8")
    return file


def _toml(recipe: Mapping[str, object]) -> str:
    """Return the value in TOML, whose strings, numbers and lists are written as in JSON."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in recipe.items() if not isinstance(value, dict)]
    for section, values in recipe.items():
        if isinstance(values, dict):
            lines += [f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"
