"""All rows of one image, read by one statement, and one more for each kind of row that the image has."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Row, and_, bindparam, func, select
from sqlalchemy.orm import Session

from activelabel.store.case_states import Verdict
from activelabel.store.cases.leases import lease_record
from activelabel.store.database import Database
from activelabel.store.lookup import no_such_image, record_of
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
    select(ImageRow.__table__, RoundRow.__table__, *_THERE_ARE)
    .outerjoin(RoundRow, RoundRow.number == select(func.max(RoundRow.number)).scalar_subquery())
    .where(ImageRow.id == _IMAGE)
)
_ROWS = {kind: select(kind.__table__).where(_of_image(kind)).order_by(kind.id) for kind in _KINDS}
_WITH_LABEL = (
    select(ImageRow, AnnotationRow)
    .outerjoin(AnnotationRow, and_(AnnotationRow.image_id == ImageRow.id, current_final()))
    .where(ImageRow.id == _IMAGE)
)
"""Built once: they are executed several times with every label."""
_IMAGE_COLUMNS, _ROUND_COLUMNS = (tuple(table.__table__.columns.keys()) for table in (ImageRow, RoundRow))


def _plain(rows: Iterable[Row[Any]]) -> list[SimpleNamespace]:
    """Rows that may be changed; objects of the tables cost several times as much to read and to write."""
    return [SimpleNamespace(**row._mapping) for row in rows]


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

    image: SimpleNamespace
    newest_round: SimpleNamespace | None
    labels: Sequence[SimpleNamespace]
    drafts: Sequence[SimpleNamespace]
    queries: Sequence[SimpleNamespace]
    set_aside: Sequence[SimpleNamespace]
    reviews: Sequence[SimpleNamespace]
    readings: Sequence[SimpleNamespace]

    @classmethod
    def read(cls, session: Session, image_id: str) -> "CaseRows":
        """The rows as they are now.

        Raises:
            NotFoundError: the image was never registered.
        """
        connection, values = session.connection(), {"image": image_id}
        found = connection.execute(_CASE, values).one_or_none()
        if found is None:
            raise no_such_image(image_id)
        ends = len(_IMAGE_COLUMNS), len(_IMAGE_COLUMNS) + len(_ROUND_COLUMNS)
        image = SimpleNamespace(**dict(zip(_IMAGE_COLUMNS, found[: ends[0]], strict=True)))
        newest_round = SimpleNamespace(**dict(zip(_ROUND_COLUMNS, found[ends[0] : ends[1]], strict=True)))
        rows = (
            _plain(connection.execute(statement, values)) if any_row else []
            for statement, any_row in zip(_ROWS.values(), found[ends[1] :], strict=True)
        )
        return cls(image, None if newest_round.number is None else newest_round, *rows)

    def history(self, now: datetime) -> CaseHistory:
        """The same as records, as of `now`."""
        standing = [verdict.value for verdict in Verdict]
        decided = [row for row in self.reviews if row.outcome in standing and row.superseded_at is None]
        compared = next((row for row in self.readings if row.superseded_at is None), None)
        return CaseHistory(
            image=record_of(self.image, Image),
            labels=tuple(record_of(row, Annotation) for row in self.labels),
            drafts=tuple(record_of(row, Draft) for row in self.drafts),
            queries=tuple(lease_record(row, now) for row in self.queries),
            decisions={row.annotation_id: record_of(row, Review) for row in decided},
            compared=None if compared is None else reading_record(compared),
        )


class CaseHistories(Database):
    """What has happened to each image."""

    def case_history(self, image_id: str) -> CaseHistory:
        """All that is known of an image as of now.

        Raises:
            NotFoundError: the image was never registered.
        """
        with self._reading() as session:
            known = session.info.get((CaseHistory, image_id))  # of the same transaction, so it says the same
            history = known or CaseRows.read(session, image_id).history(self._clock())
            session.info[CaseHistory, image_id] = history
            return history

    def image_and_label(self, image_id: str) -> tuple[Image, Annotation | None]:
        """An image, and its final label, of whatever state; None if it has none.

        Raises:
            NotFoundError: the image was never registered.
        """
        with self._reading() as session:
            row = session.execute(_WITH_LABEL, {"image": image_id}).one_or_none()
            if row is None:
                raise no_such_image(image_id)
            label = None if row.AnnotationRow is None else record_of(row.AnnotationRow, Annotation)
            return record_of(row.ImageRow, Image), label


def reading_record(row: ReadingRow | SimpleNamespace) -> Reading:
    """The record of a comparison."""
    structures = {name: Agreement(**values) for name, values in row.structures.items()}
    return record_of(row, Reading, structures=structures)
