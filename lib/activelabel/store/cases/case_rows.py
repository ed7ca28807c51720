"""All rows of one image, read by one statement, and one more for each kind of row that the image has."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Executable, Select, and_, bindparam, func, select
from sqlalchemy.orm import Session

from activelabel.store.case_states import Verdict
from activelabel.store.cases.leases import lease_record
from activelabel.store.database import Database
from activelabel.store.lookup import image_row, record_of
from activelabel.store.pool import current_final, set_aside
from activelabel.store.records.case import CaseHistory
from activelabel.store.records.images import Image
from activelabel.store.records.labels import Annotation, Draft
from activelabel.store.records.reviews import Agreement, Reading, Review
from activelabel.store.schema.images import ImageRow
from activelabel.store.schema.labels import AnnotationRow, DraftRow
from activelabel.store.schema.queries import LeaseRow, SkipRow
from activelabel.store.schema.reviews import ReadingRow, ReviewRow
from activelabel.store.schema.study import RoundRow

_KINDS: tuple[type[Any], ...] = (AnnotationRow, DraftRow, LeaseRow, SkipRow, ReviewRow, ReadingRow)
_IMAGE: BindParameter[str] = bindparam("image")


def _of_image(kind: type[Any]) -> ColumnElement[bool]:
    of_image: ColumnElement[bool] = kind.image_id == _IMAGE
    return and_(of_image, set_aside()) if kind is SkipRow else of_image


_THERE_ARE = [select(kind.id).where(_of_image(kind)).exists() for kind in _KINDS]
_CASE = (
    select(ImageRow, RoundRow, *_THERE_ARE)
    .outerjoin(RoundRow, RoundRow.number == select(func.max(RoundRow.number)).scalar_subquery())
    .where(ImageRow.id == _IMAGE)
)
_CASE_VALUES = select(ImageRow.__table__, *_THERE_ARE).where(ImageRow.id == _IMAGE)


def _of_kinds(*, mapped: bool) -> dict[type[Any], Select[Any]]:
    """What reads the rows of each kind: as objects, which a write changes, or as plain rows, which cost less."""
    return {
        kind: select(kind if mapped else kind.__table__).where(_of_image(kind)).order_by(kind.id) for kind in _KINDS
    }


_ROWS, _VALUES = _of_kinds(mapped=True), _of_kinds(mapped=False)
_WITH_LABEL = (
    select(ImageRow, AnnotationRow)
    .outerjoin(AnnotationRow, and_(AnnotationRow.image_id == ImageRow.id, current_final()))
    .where(ImageRow.id == _IMAGE)
)
"""Built once: they are executed several times with every label."""


def _read(session: Session, statement: Executable, image_id: str) -> Any:
    """The only row that a statement about an image finds.

    Raises:
        NotFoundError: the image was never registered.
    """
    row = session.execute(statement, {"image": image_id}).one_or_none()
    if row is None:
        image_row(session, image_id)  # raises
    assert row is not None
    return row


def _read_kinds(
    read: Callable[..., Any], statements: Mapping[type[Any], Select[Any]], image_id: str, there_are: Iterable[bool]
) -> Iterator[Sequence[Any]]:
    """The rows of each kind in turn; no statement for a kind of which the image has none."""
    for statement, any_row in zip(statements.values(), there_are, strict=True):
        yield read(statement, {"image": image_id}).all() if any_row else ()


@dataclass(frozen=True)
class CaseRows:
    """The rows of an image, those of each kind by id.

    Attributes:
        image: the image.
        newest_round: the round to which new events belong; None before the first.
        labels: every version of its labels.
        drafts: every draft.
        queries: every lease.
        set_aside: by which the case is set aside as one that cannot be annotated: one row at most.
        reviews: every review.
        readings: every comparison of readings.
    """

    image: ImageRow
    newest_round: RoundRow | None
    labels: Sequence[AnnotationRow]
    drafts: Sequence[DraftRow]
    queries: Sequence[LeaseRow]
    set_aside: Sequence[SkipRow]
    reviews: Sequence[ReviewRow]
    readings: Sequence[ReadingRow]

    @classmethod
    def read(cls, session: Session, image_id: str) -> "CaseRows":
        """The rows as they are now.

        Raises:
            NotFoundError: the image was never registered.
        """
        image, newest_round, *there_are = _read(session, _CASE, image_id)
        return cls(image, newest_round, *_read_kinds(session.scalars, _ROWS, image_id, there_are))

    def history(self, now: datetime) -> CaseHistory:
        """The same as records, as of `now`."""
        return _history(self.image, self.labels, self.drafts, self.queries, self.reviews, self.readings, now)


class CaseHistories(Database):
    """What has happened to each image."""

    def case_history(self, image_id: str) -> CaseHistory:
        """All that is known of an image as of now.

        Raises:
            NotFoundError: the image was never registered.
        """
        with self._reading() as session:
            image = _read(session, _CASE_VALUES, image_id)
            there_are = image[-len(_KINDS) :]
            labels, drafts, queries, _, reviews, readings = _read_kinds(session.execute, _VALUES, image_id, there_are)
            return _history(image, labels, drafts, queries, reviews, readings, self._clock())

    def image_and_label(self, image_id: str) -> tuple[Image, Annotation | None]:
        """An image, and its final label, of whatever state; None if it has none.

        Raises:
            NotFoundError: the image was never registered.
        """
        with self._reading() as session:
            row = _read(session, _WITH_LABEL, image_id)
            label = None if row.AnnotationRow is None else record_of(row.AnnotationRow, Annotation)
            return record_of(row.ImageRow, Image), label


def _history(
    image: Any,
    labels: Iterable[Any],
    drafts: Iterable[Any],
    queries: Iterable[Any],
    reviews: Iterable[Any],
    readings: Iterable[Any],
    now: datetime,
) -> CaseHistory:
    """The history from rows, or from plain rows of the same columns."""
    standing = [verdict.value for verdict in Verdict]
    decided = [row for row in reviews if row.outcome in standing and row.superseded_at is None]
    compared = next((row for row in readings if row.superseded_at is None), None)
    return CaseHistory(
        image=record_of(image, Image),
        labels=tuple(record_of(row, Annotation) for row in labels),
        drafts=tuple(record_of(row, Draft) for row in drafts),
        queries=tuple(lease_record(row, now) for row in queries),
        decisions={row.annotation_id: record_of(row, Review) for row in decided},
        compared=None if compared is None else reading_record(compared),
    )


def reading_record(row: ReadingRow) -> Reading:
    """The record of a comparison."""
    structures = {name: Agreement(**values) for name, values in row.structures.items()}
    return record_of(row, Reading, structures=structures)
