"""The axis along which the slices of an image are counted, which is fixed when it is first needed."""

from collections.abc import Sequence
from types import SimpleNamespace

from sqlalchemy import bindparam, or_, select, update
from sqlalchemy.orm import Session

from activelabel.errors import InvalidInputError
from activelabel.store.cases.new_annotation import LabelChangedError, Sliced
from activelabel.store.pool import current_final
from activelabel.store.records.images import Image
from activelabel.store.schema.images import ImageRow
from activelabel.store.schema.labels import AnnotationRow
from activelabel.store.schema.models import ScoreRow
from activelabel.store.schema.queries import LeaseRow

_FIX = (
    update(ImageRow)
    .where(ImageRow.id == bindparam("image"))
    .values(slice_axis=bindparam("axis"), slice_count=bindparam("count"))
)


def slices_of(
    session: Session, image: Image | ImageRow | SimpleNamespace, axis: int, shape: Sequence[int]
) -> tuple[int, int]:
    """The axis along which an image of this shape is sliced, and the number of its slices.

    It is `axis`, unless slices of the image were asked for, annotated or scored along another one: their indices refer
    to that.

    Raises:
        InvalidInputError: the file is not the one whose slices were annotated: the number of slices differs.
    """
    fixed = image.slice_axis
    if fixed is None or (fixed, image.slice_count) == (axis, shape[axis]) or not _goes_by_slices(session, image.id):
        return axis, shape[axis]
    if shape[fixed] != image.slice_count and _is_annotated(session, image.id):
        raise InvalidInputError(
            f"image '{image.id}' has {shape[fixed]} slices, but its label was drawn on one of "
            f"{image.slice_count}: put that file back, or delete the label"
        )
    return fixed, shape[fixed]


def fix_with_label(session: Session, image: ImageRow | SimpleNamespace, sliced: Sliced) -> None:
    """Record along which axis the slices of a new label are counted, also in the row `image`.

    Raises:
        LabelChangedError: they must be counted along another axis, which somebody has fixed since.
        InvalidInputError: as `slices_of`.
    """
    axis, count = slices_of(session, image, *sliced)
    if axis != sliced[0]:
        raise LabelChangedError(f"image '{image.id}': its slices are counted along axis {axis} since")
    if (image.slice_axis, image.slice_count) == (axis, count):
        return
    image.slice_axis, image.slice_count = axis, count
    if not isinstance(image, ImageRow):  # which the session writes
        session.connection().execute(_FIX, {"image": image.id, "axis": axis, "count": count})


def _goes_by_slices(session: Session, image_id: str) -> bool:
    """Whether slice indices of this image were ever recorded."""
    tables = (LeaseRow, AnnotationRow, ScoreRow)
    written = [select(table).where(table.image_id == image_id, table.slices.is_not(None)).exists() for table in tables]
    return bool(session.scalar(select(or_(*written))))


def _is_annotated(session: Session, image_id: str) -> bool:
    labels = select(AnnotationRow).where(AnnotationRow.image_id == image_id, current_final())
    return bool(session.scalar(select(labels.exists())))
