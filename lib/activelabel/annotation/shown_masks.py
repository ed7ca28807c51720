"""Keeps the masks that models showed: an annotator may start from one, whose slices do not count as drawn."""

from collections.abc import Callable
from pathlib import Path

from activelabel.annotation.digest_files import keep_digests
from activelabel.data.files.state import stamp_of
from activelabel.data.grids import Grid
from activelabel.data.label_checking import check_label, write_label
from activelabel.data.slice_digests import slice_digests
from activelabel.data.slices import slice_axis
from activelabel.project.models.shown_masks import shown_file
from activelabel.project.project import Project


def keep_shown_mask(
    project: Project, image_id: str, model_version: int, mask: Path | str, read_image: Callable[[], Grid]
) -> None:
    """Keep a mask that a model shows of an image, and the digests of its slices, unless it is kept already.

    Args:
        project: the project whose model it is.
        image_id: the image.
        model_version: the model that drew the mask.
        mask: the file that is shown.
        read_image: reads the grid of the image.

    Raises:
        InvalidInputError: the mask does not lie on the grid of the image.
    """
    kept = shown_file(project.predictions_folder, image_id, model_version)
    if kept.is_file():
        return
    image = read_image()
    drawn = check_label(mask, image, project.labels)
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_label(kept, drawn.array, drawn.affine_ras)
    fixed = project.ledger.image(image_id).slice_axis
    axis = slice_axis(image, project.slice_plane) if fixed is None else fixed
    keep_digests(kept, stamp_of(kept), image, axis, slice_digests(drawn.array, axis))
