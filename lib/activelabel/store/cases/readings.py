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
from activelabel.store.cases.case_rows import reading_record
from activelabel.store.cases.label_rows import copy_label, current_row
from activelabel.store.cases.new_annotation import Compared
from activelabel.store.cases.reviews import end_open_reviews
from activelabel.store.database import Database
from activelabel.store.pool import current_final, current_reading, decided, drawn_by, read_twice, waits_for_second
from activelabel.store.records.labels import FINAL, SECOND
from activelabel.store.records.reviews import Reading
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
            return [reading_record(row) for row in session.scalars(statement)]

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
            return {row.image_id: reading_record(row) for row in session.scalars(statement)}

    def between_shown(self, reading: Reading) -> bool:
        """Whether a comparison is that of the labels which clients show: the final one and the second reading."""
        with self._reading() as session:
            shown = (current_row(session, reading.image_id, tag) for tag in (FINAL, SECOND))
            return [None if row is None else row.id for row in shown] == [reading.first_id, reading.second_id]

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

    Rows that an earlier version wrote say nothing of their end: it is the next comparison of the image, when a reading
    of it was taken back, or when its second reading was replaced, which ended it then also if the new one could not be
    compared. The same holds for a ledger of such a version (migration 0019).
    """
    ends: dict[str, list[Any]] = {}
    replaced: dict[int, Any] = {}
    for label in labels:
        replaced[label["id"]] = label.get("superseded_at")
        if label["tag"] in (FINAL, SECOND) and label.get("deleted_at") is not None:
            ends.setdefault(label["image_id"], []).append(label["deleted_at"])
    ended: list[dict[str, Any]] = []
    for row in sorted(readings, key=lambda row: int(row["id"]), reverse=True):
        image_id, began = row["image_id"], row["created_at"]
        later = [when for when in ends.get(image_id, ()) if when > began]
        newer = [one["created_at"] for one in ended if one["image_id"] == image_id]
        own = None if "superseded_at" in row else replaced.get(row["second_id"])
        known = [when for when in (*later, *newer, own) if when is not None]
        ended.append({**row, "superseded_at": row.get("superseded_at") or min(known, default=None)})
    return ended[::-1]


def _current_reading(session: Session, image_id: str) -> ReadingRow | None:
    return session.scalar(select(ReadingRow).where(ReadingRow.image_id == image_id, current_reading()))
