"""Places and names that commands need before anything heavy is imported: each `--help` lists some."""

from pathlib import Path

RECIPES_FOLDER = Path(__file__).parent / "recipes"
APP_FOLDER = Path(__file__).parents[2] / "apps" / "activelabel"
"""What the host is started with; the projects of a PACS are below it where `project_dir` names no other place."""

MEASURE_NAMES = ("variance", "entropy", "mutual_information", "least_confidence", "margin")
"""The keys of `acquisition.uncertainty.MEASURES`, in its order."""

REGION_NAMES = ("everything", "target", "boundary", "dilated_foreground", "object")
"""The keys of `acquisition.regions.REGIONS`, in its order."""

AGGREGATIONS = ("total", "mean")


def recipe_names() -> list[str]:
    """Names of the recipes that come with the package, in order."""
    return sorted(path.stem for path in RECIPES_FOLDER.glob("*.toml"))


MODEL_ENDING = ".safetensors"
"""Of the file of a model."""
