"""Places and names that commands need before anything heavy is imported: each `--help` lists some."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

RECIPES_FOLDER = Path(__file__).parent / "recipes"
HOST_APP_FOLDER = Path(__file__).parent / "server" / "host_app"
"""The app as it comes with the package; the host writes into the folder of an app, so this one is not used as it is."""


def app_folder(checkout: Path, environment: Mapping[str, str]) -> Path:
    """The app's folder: that of a checkout where the package is used from one, else one of the user's own.

    An installed package is not written into: it may not be allowed, and its next version would not find what it keeps.
    """
    if (checkout / "main.py").is_file():
        return checkout
    data = environment.get("XDG_DATA_HOME") or environment.get("LOCALAPPDATA")
    return (Path(data) if data else Path.home() / ".local" / "share") / "activelabel"


CHECKOUT_APP = Path(__file__).parents[2] / "apps" / "activelabel"
APP_FOLDER = app_folder(CHECKOUT_APP, os.environ)
"""What the host is started with; the projects of a PACS are below it where `project_dir` names no other place."""

_INSTALLED_MODULE = Path(__file__).parent / "clients" / "slicer" / "ActiveLabel"
_CHECKOUT_MODULE = Path(__file__).parents[2] / "clients" / "slicer" / "ActiveLabel"
SLICER_MODULE = _INSTALLED_MODULE if _INSTALLED_MODULE.is_dir() else _CHECKOUT_MODULE
"""The module for 3D Slicer: inside an installed package, beside `lib` in a checkout."""

MEASURE_NAMES = ("variance", "entropy", "mutual_information", "least_confidence", "margin")
"""The keys of `acquisition.uncertainty.MEASURES`, in its order."""

REGION_NAMES = ("everything", "target", "boundary", "dilated_foreground", "object")
"""The keys of `acquisition.regions.REGIONS`, in its order."""

AGGREGATIONS = ("total", "mean")

REPEATED_MEASURES = ("variance", "mutual_information")
"""The measures that go by how Monte Carlo repeats differ: with fewer than two repeats they are 0 everywhere."""


@dataclass(frozen=True)
class ScoreKind:
    """What one kind of score is: a measure, the region that it is taken over, and how its voxels become one number.

    `measure` and `region` are names of the lists above, or those of `acquisition.class_scores`; `aggregation` is one of
    `AGGREGATIONS`. `ScoreKind("entropy")` is the sum of the entropy over all voxels.
    """

    measure: str
    region: str = "everything"
    aggregation: str = "total"


def recipe_names() -> list[str]:
    """Names of the recipes that come with the package, in order."""
    return sorted(path.stem for path in RECIPES_FOLDER.glob("*.toml"))


MODEL_ENDING = ".safetensors"
"""Of the file of a model."""
