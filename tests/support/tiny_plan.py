"""The plan of a training on tiny volumes, without a project."""

from pathlib import Path
from typing import Any

from activelabel.recipes import load_recipe
from activelabel.training.checkpoints import ModelDescription
from activelabel.training.engine.plan import Plan
from activelabel.training.transforms import Case

TINY = Path(__file__).parent / "tiny.toml"


def tiny_plan(folders: Any, folder: Path, epochs: int, validation: int) -> Plan:
    """Plan to train on all cases of the folders but the last ones, in steps of two."""
    recipe = load_recipe(str(TINY))
    names = [path.name for path in sorted(folders.studies.iterdir())]
    cases: list[Case] = [{"image": str(folders.studies / name), "label": str(folders.labels / name)} for name in names]
    (folder / "run").mkdir()
    return Plan(
        model=ModelDescription(
            recipe="tiny", labels=("ball",), network=recipe.network, preprocessing=recipe.preprocessing
        ),
        training=recipe.training.model_copy(update={"epochs": epochs}),
        prediction=recipe.prediction,
        cases=cases[:-validation],
        validation=cases[-validation:],
        seed=3,
        device="cpu",
        precision="float32",
        folder=folder / "run",
    )
