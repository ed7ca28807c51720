"""Where the masks are that models showed: a folder of an image each, `MODEL.nii.gz` in it."""

from collections.abc import Iterator
from pathlib import Path

from activelabel.data.files.studies_folder import LABEL_ENDING


def shown_file(predictions: Path, image_id: str, model_version: int) -> Path:
    """The path of the mask that a model showed of an image, below the folder of all such masks."""
    return predictions / image_id / f"{model_version}{LABEL_ENDING}"


def shown_masks(folder: Path) -> Iterator[tuple[int, Path]]:
    """The masks in the folder of an image, each with the version of its model, in order.

    A file of another name, which somebody has put there, is none.
    """
    named = ((mask.name.removesuffix(LABEL_ENDING), mask) for mask in folder.glob(f"*{LABEL_ENDING}"))
    yield from sorted((int(name), mask) for name, mask in named if name.isascii() and name.isdecimal())
