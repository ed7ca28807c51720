"""Reviews: a second person approves a finished label, or returns it to its annotator with a note.

A reviewer takes a label for a while, as an annotator takes a case, so that no two decide about one at once. A decision
is about one version of a label: a newer version has none yet. Every decision is kept; the newest about a version
stands.
"""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, bindparam, exists, func, select
from sqlalchemy.orm import Session, aliased

from activelabel.errors import InvalidInputError, NotReadyError
from activelabel.store.case_states import CaseEvent, Verdict
from activelabel.store.cases.case_facts import check_event
from activelabel.store.cases.case_rows import reading_record
from activelabel.store.cases.label_rows import copy_label, current_row
from activelabel.store.checks import checked_name
from activelabel.store.database import Database
from activelabel.store.lookup import image_row, record_of
from activelabel.store.pool import (
    being_reviewed,
    current_final,
    current_reading,
    decided,
    disputed,
    last_taken_back,
    readers_who_differ,
)
from activelabel.store.records.labels import FINAL, SECOND, Annotation
from activelabel.store.records.reviews import Difficulty, Reading, Review
from activelabel.store.schema.images import ImageRow
from activelabel.store.schema.labels import AnnotationRow
from activelabel.store.schema.reviews import ReadingRow, ReviewRow

_EVENTS = {Verdict.APPROVED: CaseEvent.APPROVE, Verdict.RETURNED: CaseEvent.RETURN}


def _stands() -> ColumnElement[bool]:
    decisions = [verdict.value for verdict in Verdict]
    return and_(ReviewRow.outcome.in_(decisions), ReviewRow.superseded_at.is_(None))


_RETURNED_TO = (
    select(AnnotationRow, ReviewRow)
    .join(ReviewRow, ReviewRow.annotation_id == AnnotationRow.id)
    .join(ImageRow, ImageRow.id == AnnotationRow.image_id)
    .where(current_final(), _stands(), ReviewRow.outcome == Verdict.RETURNED.value)
    .where(AnnotationRow.annotator == bindparam("name"))
    .where(ImageRow.present.is_(True), ImageRow.unreadable_reason.is_(None))
    .order_by(ReviewRow.id)
)
"""Built once: it is executed whenever somebody asks for a case."""


class Reviews(Database):
    """The reviews of all labels."""

    def take_for_review(self, reviewer: str, minutes: float, image_id: str | None = None) -> Review | None:
        """Give a finished label to a reviewer for some minutes: that of an image, or the next one that waits.

        Without an id, it is the label that the reviewer has before them already, else the oldest one that nobody has
        decided about; None if none waits. A reviewer who takes another label lets go of the one before. One who takes
        the same label again, of which a reading was sent again meanwhile, begins anew, as they see both now.

        Raises:
            NotFoundError: the image was never registered.
            NotReadyError: the image has no label to review, it is the reviewer's own, or somebody else reviews it.
        """
        checked_name(reviewer, "reviewer")
        now = self._clock()
        with self._writing() as session:
            held = _held_by(session, reviewer, now)
            if held is not None and image_id in (None, held.image_id):
                label = current_row(session, held.image_id, FINAL)
                if label is not None and label.id == held.annotation_id:
                    if not _read_again_since(session, held):
                        return record_of(held, Review)
                    image_id = held.image_id
            image_id = image_id or _next_waiting(session, reviewer, now)
            if image_id is None:
                return None
            image_row(session, image_id)
            check_event(CaseEvent.TAKE_FOR_REVIEW, session, image_id, reviewer, now)
            if held is not None:
                held.outcome, held.ended_at = "released", now
            end_open_reviews(session, image_id, now)
            row = ReviewRow(
                image_id=image_id,
                annotation_id=_label(session, image_id).id,
                reviewer=reviewer,
                begun_at=now,
                expires_at=now + timedelta(minutes=minutes),
                note="",
            )
            session.add(row)
            session.flush()
            return record_of(row, Review)

    def end_review(self, reviewer: str) -> Review | None:
        """Let go of the label that a reviewer has before them, undecided; None if there is none."""
        now = self._clock()
        with self._writing() as session:
            held = _held_by(session, reviewer, now)
            if held is None:
                return None
            held.outcome, held.ended_at = "released", now
            return record_of(held, Review)

    def decide(
        self,
        image_id: str,
        reviewer: str,
        verdict: Verdict,
        note: str = "",
        *,
        difficulty: Difficulty | None = None,
        version: int | None = None,
        shown_as: str | None = None,
        check: Callable[[Reading | None], None] | None = None,
    ) -> Review:
        """Record what a reviewer has decided about the current final label of an image.

        Args:
            image_id: the image.
            reviewer: who decides; they need not have taken it for review.
            verdict: approved, or returned to its annotator, whose case it is again.
            note: what the annotator should know.
            difficulty: how hard the case is.
            version: the version of the label that the reviewer has seen; None if they do not say.
            shown_as: the tag under which clients open the image, and under which a returned label is shown too.
            check: refuses the decision, by an error, because of the comparison of two readings that differ, of which
                the label is one, and about which nobody has decided; it is told None if there is none.

        Raises:
            NotFoundError: the image was never registered.
            NotReadyError: the machine of `case_states` refuses it, or the label has changed since they saw it.
            InvalidInputError: a label is returned without a note.
        """
        checked_name(reviewer, "reviewer")
        if verdict is Verdict.RETURNED and not note.strip():
            raise InvalidInputError("note: expected a line that tells the annotator what to correct")
        now = self._clock()
        with self._writing() as session:
            image_row(session, image_id)
            check_event(_EVENTS[verdict], session, image_id, reviewer, now)
            label, held = _label(session, image_id), _held_by(session, reviewer, now)
            held = None if held is None or held.image_id != image_id else held
            older = held is not None and held.annotation_id != label.id
            if (older and label.annotator != reviewer) or version not in (None, label.version):
                raise NotReadyError(f"image '{image_id}': its label has changed since you opened it: look at it again")
            if older and held is not None:  # they have corrected what they had before them
                held.outcome, held.ended_at, held = "released", now, None
            if check is not None:
                check(_undecided_comparison(session, label))
            for before in session.scalars(select(ReviewRow).where(ReviewRow.annotation_id == label.id, _stands())):
                before.superseded_at = now
            session.flush()
            if held is None:
                end_open_reviews(session, image_id, now)
            row = held or ReviewRow(image_id=image_id, annotation_id=label.id, reviewer=reviewer)
            row.outcome, row.note, row.difficulty, row.ended_at = verdict.value, note.strip(), difficulty, now
            session.add(row)
            session.flush()
            shown = None if shown_as is None else current_row(session, image_id, shown_as)
            if verdict is Verdict.RETURNED and shown_as is not None and (shown is None or shown.file != label.file):
                copy_label(session, label, shown_as)
            return record_of(row, Review)

    def open_review(self, reviewer: str) -> Review | None:
        """The label that a reviewer has before them, or None."""
        with self._reading() as session:
            row = _held_by(session, reviewer, self._clock())
            return None if row is None else record_of(row, Review)

    def open_reviews(self) -> list[Review]:
        """The reviews under way, oldest first."""
        with self._reading() as session:
            rows = session.scalars(select(ReviewRow).where(being_reviewed(self._clock())).order_by(ReviewRow.id))
            return [record_of(row, Review) for row in rows]

    def reviews(self, image_id: str | None = None) -> list[Review]:
        """All reviews ever recorded, or those of one image, oldest first."""
        statement = select(ReviewRow).order_by(ReviewRow.id)
        if image_id is not None:
            statement = statement.where(ReviewRow.image_id == image_id)
        with self._reading() as session:
            return [record_of(row, Review) for row in session.scalars(statement)]

    def standing_decisions(self) -> dict[str, Review]:
        """What was decided about the current final label of each image, by image."""
        statement = select(ReviewRow).join(AnnotationRow, AnnotationRow.id == ReviewRow.annotation_id)
        with self._reading() as session:
            rows = session.scalars(statement.where(current_final(), _stands()))
            return {row.image_id: record_of(row, Review) for row in rows}

    def returned_to(self, annotator: str) -> list[tuple[Annotation, Review]]:
        """The current final labels that were returned to this annotator, each with the review, oldest first."""
        with self._reading() as session:
            rows = session.execute(_RETURNED_TO, {"name": annotator}).tuples()
            return [(record_of(label, Annotation), record_of(review, Review)) for label, review in rows]

    def count_waiting_for_review(self) -> int:
        """The number of current final labels of present images about which nobody has decided."""
        present = select(ImageRow.id).where(ImageRow.present.is_(True))
        waiting = select(func.count()).select_from(AnnotationRow).where(current_final(), _undecided())
        with self._reading() as session:
            return session.scalar(waiting.where(AnnotationRow.image_id.in_(present))) or 0


def _undecided() -> ColumnElement[bool]:
    return and_(*(AnnotationRow.id.not_in(decided(verdict)) for verdict in Verdict))


def _read_again_since(session: Session, held: ReviewRow) -> bool:
    """Whether readings of the image were compared since a reviewer took its label."""
    compared = select(ReadingRow.id).where(ReadingRow.image_id == held.image_id, current_reading())
    return session.scalar(compared.where(ReadingRow.created_at > held.begun_at)) is not None


def _label(session: Session, image_id: str) -> AnnotationRow:
    label = current_row(session, image_id, FINAL)
    assert label is not None  # the machine refuses to review a case without a label
    return label


def _undecided_comparison(session: Session, label: AnnotationRow) -> Reading | None:
    """The comparison of a final label with the second reading, if they differ and nobody has decided about it."""
    of_image = (ReadingRow.image_id == label.image_id, current_reading(), ReadingRow.agrees.is_(False))
    reading = session.scalar(select(ReadingRow).where(*of_image, ReadingRow.first_id == label.id))
    second = current_row(session, label.image_id, SECOND)
    if reading is None or second is None or reading.second_id != second.id:
        return None
    stands = session.scalar(select(ReviewRow.id).where(ReviewRow.annotation_id == label.id, _stands()).limit(1))
    return reading_record(reading) if stands is None else None


def _held_by(session: Session, reviewer: str, now: datetime) -> ReviewRow | None:
    return session.scalar(select(ReviewRow).where(ReviewRow.reviewer == reviewer, being_reviewed(now)))


def end_open_reviews(session: Session, image_id: str, now: datetime, reviewers: Collection[str] | None = None) -> None:
    """End the open reviews of an image, or those of these reviewers: expired, for a replaced label, or not theirs."""
    still_open = select(ReviewRow).where(ReviewRow.image_id == image_id, ReviewRow.outcome.is_(None))
    for row in session.scalars(still_open):
        if reviewers is not None and row.reviewer not in reviewers:
            continue
        assert row.expires_at is not None
        expired = row.expires_at <= now
        row.outcome, row.ended_at = ("expired", row.expires_at) if expired else ("released", now)
    session.flush()


def _next_waiting(session: Session, reviewer: str, now: datetime) -> str | None:
    """The image that this reviewer may decide about: first where two readings differ, then who has waited longest."""
    others = aliased(AnnotationRow)
    by_others = exists().where(
        others.image_id == AnnotationRow.image_id,
        others.tag == FINAL,
        others.annotator != reviewer,
        others.id > last_taken_back(),
    )
    current_reviews = select(ReviewRow.annotation_id).where(being_reviewed(now))
    readers = readers_who_differ().subquery()
    own_readings = select(readers.c.image_id).where(readers.c.annotator == reviewer)
    usable = select(ImageRow.id).where(ImageRow.present.is_(True), ImageRow.unreadable_reason.is_(None))
    return session.scalar(
        select(AnnotationRow.image_id)
        .where(current_final(), _undecided(), by_others)
        .where(AnnotationRow.id.not_in(current_reviews), AnnotationRow.image_id.in_(usable))
        .where(AnnotationRow.image_id.not_in(own_readings))
        .order_by(AnnotationRow.image_id.in_(disputed()).desc(), AnnotationRow.id)
        .limit(1)
    )
