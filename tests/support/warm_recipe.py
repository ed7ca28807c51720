"""The tiny recipe with an equally small proxy task."""

from pathlib import Path

from training_study import TINY

PROXY = {
    "epochs": 2,
    "patch_size": [16, 16, 16],
    "patches_per_volume": 1,
    "learning_rate": 1e-2,
    "augmentation": '"none"',
    "validate_every": 1,
    "repeats": 3,
}


def write_warm_recipe(folder: Path, strategy: str = "variance", **proxy: object) -> str:
    """Write such a recipe, and return its path; strings among the values of the proxy task are quoted TOML."""
    lines = [f"{key} = {value}" for key, value in {**PROXY, **proxy}.items()]
    path = folder / "warm.toml"
    text = TINY.read_text(encoding="utf-8").replace('strategy = "variance"', f'strategy = "{strategy}"')
    path.write_text(text + "\n[proxy]\n" + "\n".join(lines) + "\n")
    return str(path)
