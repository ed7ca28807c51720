"""Second readings: a label that another annotator has drawn without seeing the final one, and how much both agree.

Both readers may send theirs again. Of each image one comparison is the current one: that of the newest versions.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import null, or_, select
from sqlalchemy.orm import Session

from activelabel.store.case_states import Verdict
from activelabel.store.cases.label_rows import copy_label, current_row
from activelabel.store.cases.new_annotation import Compared
from activelabel.store.cases.reviews import end_open_reviews
from activelabel.store.database import Database
from activelabel.store.lookup import record_of
from activelabel.store.pool import current_final, current_reading, decided, drawn_by, read_twice, waits_for_second
from activelabel.store.records.labels import FINAL, SECOND, Annotation
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
        partly = AnnotationRow.slices.is_not(null())
        over = select(AnnotationRow.image_id).where(current_final(), or_(partly, decisions))
        with self._reading() as session:
            return set(images).difference(*(session.scalars(one) for one in (over, drawn_by(person), read_twice())))

    def readings(self, *, with_earlier: bool = False) -> list[Reading]:
        """The current comparison of each image that was read twice, oldest first; if asked, also the earlier ones."""
        statement = select(ReadingRow).order_by(ReadingRow.id)
        if not with_earlier:
            statement = statement.where(current_reading())
        with self._reading() as session:
            return [_record(row) for row in session.scalars(statement)]

    def disagreements(self) -> dict[str, Reading]:
        """The current comparisons of readings that differ, if nobody has decided about the final label, by image.

        The final label may be a third person's, sent since; nobody has decided between the readings then either.
        """
        statement = (
            select(ReadingRow)
            .join(AnnotationRow, AnnotationRow.image_id == ReadingRow.image_id)
            .where(current_final(), ReadingRow.agrees.is_(False), current_reading())
            .where(*(AnnotationRow.id.not_in(decided(verdict)) for verdict in Verdict))
            .order_by(ReadingRow.id)
        )
        with self._reading() as session:
            return {row.image_id: _record(row) for row in session.scalars(statement)}

    def between_shown(self, reading: Reading) -> bool:
        """Whether a comparison is that of the labels which clients show: the final one and the second reading."""
        with self._reading() as session:
            shown = (current_row(session, reading.image_id, tag) for tag in (FINAL, SECOND))
            return [None if row is None else row.id for row in shown] == [reading.first_id, reading.second_id]

    def readers_of(self, image_id: str) -> frozenset[str]:
        """The two annotators whose readings of an image were compared; empty if none were."""
        with self._reading() as session:
            compared = _compared_labels(session, image_id)
            return frozenset(label.annotator for label in compared)

    def is_adjudicated(self, image_id: str) -> bool:
        """Whether a reviewer has approved the final label of an image whose readings differ."""
        final = select(AnnotationRow.id).where(AnnotationRow.image_id == image_id, current_final())
        approved = final.where(AnnotationRow.id.in_(decided(Verdict.APPROVED)))
        with self._reading() as session:
            reading = _current_reading(session, image_id)
            return reading is not None and not reading.agrees and session.scalar(approved) is not None

    def answered_by_second(self, query_id: int) -> bool:
        """Whether a second reading, taken back since or not, is what a query was answered with."""
        answer = select(AnnotationRow.id).where(AnnotationRow.lease_id == query_id, AnnotationRow.tag == SECOND)
        with self._reading() as session:
            return session.scalar(answer.limit(1)) is not None

    def other_reading(self, image_id: str, annotator: str, tag: str) -> Annotation | None:
        """The other reader's newest label, with which a new label of an annotator is compared; None if with none."""
        with self._reading() as session:
            row = other_reading_row(session, image_id, annotator, tag)
            return None if row is None else record_of(row, Annotation)

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


def other_reading_row(session: Session, image_id: str, annotator: str, tag: str) -> AnnotationRow | None:
    """As `Readings.other_reading`, for a new label of `tag`.

    If readings of the image were compared, a new version of either is compared with the other's newest one, and a third
    person's final label with none: it is a correction, no reading. Else a second reading is compared with the final
    label, and a final label with a second reading of somebody else: it was drawn after the label that this one was
    compared with was taken back.
    """
    if tag not in (FINAL, SECOND):
        return None
    compared = _compared_labels(session, image_id)
    other = next((label for label in compared if label.annotator != annotator), None)
    if other is not None and any(label.annotator == annotator for label in compared):
        return _newest_reading(session, image_id, other.annotator)
    if tag == SECOND:
        return current_row(session, image_id, FINAL)
    second = None if compared else current_row(session, image_id, SECOND)
    return None if second is None or second.annotator == annotator else second


def record_reading(session: Session, row: AnnotationRow, compared: Compared, now: datetime) -> None:
    """Record the comparison of a new version of a reading, which is the current one from now on.

    The other reading of a final label is shown as the second reading, where a reviewer looks for it. If both differ, a
    reader who has a third person's label of the image before them lets go of it: they may not decide any more.
    """
    other = session.get_one(AnnotationRow, compared.other_id)
    if row.tag == FINAL and other is not current_row(session, row.image_id, SECOND):
        other = copy_label(session, other, SECOND, now)
    first, second = (row, other) if row.tag == FINAL else (other, row)
    end_comparison(session, row.image_id, now)
    structures = {name: asdict(agreement) for name, agreement in compared.structures.items()}
    reading = ReadingRow(
        image_id=row.image_id,
        first_id=first.id,
        second_id=second.id,
        structures=structures,
        agrees=compared.agrees,
        created_at=now,
    )
    session.add(reading)
    session.flush()
    if not compared.agrees:
        end_open_reviews(session, row.image_id, now, (first.annotator, second.annotator))


def end_comparison(session: Session, image_id: str, now: datetime) -> None:
    """End the current comparison of an image, if there is one."""
    reading = _current_reading(session, image_id)
    if reading is not None:
        reading.superseded_at = now
        session.flush()


def with_ends(readings: Sequence[Mapping[str, Any]], labels: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of comparisons, of which one for each image at most is the current one.

    Rows that an earlier version wrote say nothing of their end: it is the next comparison of the image, or when a
    reading of it was taken back.
    """
    ends: dict[str, list[Any]] = {}
    for label in labels:
        if label["tag"] in (FINAL, SECOND) and label.get("deleted_at") is not None:
            ends.setdefault(label["image_id"], []).append(label["deleted_at"])
    ended: list[dict[str, Any]] = []
    for row in sorted(readings, key=lambda row: int(row["id"]), reverse=True):
        image_id, began = row["image_id"], row["created_at"]
        later = [when for when in ends.get(image_id, ()) if when > began]
        newer = [one["created_at"] for one in ended if one["image_id"] == image_id]
        ended.append({**row, "superseded_at": row.get("superseded_at") or min([*later, *newer], default=None)})
    return ended[::-1]


def _current_reading(session: Session, image_id: str) -> ReadingRow | None:
    return session.scalar(select(ReadingRow).where(ReadingRow.image_id == image_id, current_reading()))


def _compared_labels(session: Session, image_id: str) -> Sequence[AnnotationRow]:
    """Both labels of the current comparison of an image; none if there is no comparison."""
    reading = _current_reading(session, image_id)
    ids = () if reading is None else (reading.first_id, reading.second_id)
    return [session.get_one(AnnotationRow, one) for one in ids]


def _newest_reading(session: Session, image_id: str, reader: str) -> AnnotationRow | None:
    """The newest label of the whole volume that a reader has sent and nobody has taken back."""
    kept = select(AnnotationRow).where(AnnotationRow.image_id == image_id, AnnotationRow.tag.in_((FINAL, SECOND)))
    own = kept.where(AnnotationRow.annotator == reader, AnnotationRow.deleted_at.is_(None))
    return session.scalar(own.where(AnnotationRow.slices.is_(null())).order_by(AnnotationRow.id.desc()).limit(1))
