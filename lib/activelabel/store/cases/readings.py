"""Second readings: a label that another annotator has drawn without seeing the final one, and how much both agree."""

from collections.abc import Iterable
from dataclasses import asdict

from sqlalchemy import null, or_, select
from sqlalchemy.orm import Session

from activelabel.store.case_states import Verdict
from activelabel.store.cases.label_rows import current_row
from activelabel.store.cases.new_annotation import Compared
from activelabel.store.database import Database
from activelabel.store.lookup import record_of
from activelabel.store.pool import current, current_final, decided, disputed, of_current_second, waits_for_second
from activelabel.store.records.labels import FINAL, SECOND
from activelabel.store.records.reviews import Agreement, Reading
from activelabel.store.schema.labels import AnnotationRow, DraftRow
from activelabel.store.schema.reviews import ReadingRow


class Readings(Database):
    """All second readings."""

    def waiting_for_second(self, annotator: str, images: Iterable[str]) -> list[str]:
        """Those of these images that an annotator may read a second time, in the given order."""
        with self._reading() as session:
            waiting = set(session.scalars(select(AnnotationRow.image_id).where(waits_for_second(annotator))))
        return [image_id for image_id in images if image_id in waiting]

    def not_read_by(self, person: str, images: Iterable[str]) -> set[str]:
        """Those of these images that this person has not read, and may still be asked to read without seeing others.

        An image with a label of some slices is none of them, nor one that was read twice or decided about.
        """
        decisions = or_(*(AnnotationRow.id.in_(decided(verdict)) for verdict in Verdict))
        own, partly = AnnotationRow.annotator == person, AnnotationRow.slices.is_not(null())
        over = select(AnnotationRow.image_id).where(current_final(), or_(own, partly, decisions))
        twice = select(AnnotationRow.image_id).where(AnnotationRow.tag == SECOND, current())
        with self._reading() as session:
            return set(images) - {*session.scalars(over), *session.scalars(twice)}

    def readings(self, *, with_earlier: bool = False) -> list[Reading]:
        """The comparisons of two readings, oldest first; if asked, also with earlier versions of second readings."""
        statement = select(ReadingRow).order_by(ReadingRow.id)
        if not with_earlier:
            statement = statement.where(of_current_second())
        with self._reading() as session:
            return [_record(row) for row in session.scalars(statement)]

    def disagreements(self) -> dict[str, Reading]:
        """The readings that differ from the final label of their image, about which nobody has decided, by image."""
        statement = (
            select(ReadingRow)
            .join(AnnotationRow, AnnotationRow.id == ReadingRow.first_id)
            .where(current_final(), AnnotationRow.id.in_(disputed()), ReadingRow.agrees.is_(False), of_current_second())
            .where(*(AnnotationRow.id.not_in(decided(verdict)) for verdict in Verdict))
            .order_by(ReadingRow.id)
        )
        with self._reading() as session:
            return {row.image_id: _record(row) for row in session.scalars(statement)}

    def shows_drawing(self, image_id: str, tag: str) -> bool:
        """Whether the current label of `tag` is one that an annotator has drawn, a final one or a draft."""
        with self._reading() as session:
            shown = current_row(session, image_id, tag)
            return shown is not None and shown.file in _drawings(session, image_id)

    def hide_drawing(self, image_id: str, tag: str) -> bool:
        """Show no annotator's drawing under `tag`, with which clients open an image; return whether anything changed.

        The last label of that tag that no annotator has drawn, a prediction, is shown again, if there is one.
        """
        with self._writing() as session:
            shown, files = current_row(session, image_id, tag), _drawings(session, image_id)
            if shown is None or shown.file not in files:
                return False
            shown.superseded_at = self._clock()
            session.flush()
            of_tag = select(AnnotationRow).where(AnnotationRow.image_id == image_id, AnnotationRow.tag == tag)
            others = of_tag.where(or_(AnnotationRow.file.not_in(files), AnnotationRow.deleted_at.is_not(None)))
            before = session.scalar(others.order_by(AnnotationRow.id.desc()).limit(1))
            if before is not None and before.deleted_at is None:
                before.superseded_at = None
                session.flush()
            return True


def _drawings(session: Session, image_id: str) -> set[str]:
    """The files of all that annotators have drawn on an image."""
    finals = select(AnnotationRow.file).where(AnnotationRow.image_id == image_id, AnnotationRow.tag == FINAL)
    drafts = select(DraftRow.file).where(DraftRow.image_id == image_id)
    return {*session.scalars(finals), *session.scalars(drafts)}


def _record(row: ReadingRow) -> Reading:
    structures = {name: Agreement(**values) for name, values in row.structures.items()}
    return record_of(row, Reading, structures=structures)


def record_reading(session: Session, second: AnnotationRow, compared: Compared) -> None:
    """Record the comparison of a second reading."""
    structures = {name: asdict(agreement) for name, agreement in compared.structures.items()}
    row = ReadingRow(
        image_id=second.image_id,
        first_id=compared.first_id,
        second_id=second.id,
        structures=structures,
        agrees=compared.agrees,
        created_at=second.created_at,
    )
    session.add(row)
    session.flush()
