"""Drafts: unfinished drawings. Every version is kept, its annotator can open it again, and no draft counts."""

from collections.abc import Sequence

from sqlalchemy import bindparam, func, or_, select
from sqlalchemy.orm import Session

from activelabel.store.cases.case_records import RecordsByFile, records_in
from activelabel.store.cases.label_contents import keep_content
from activelabel.store.cases.label_rows import copy_label, current_row, last_version, open_draft_row, shows_draft
from activelabel.store.cases.new_annotation import KeptFile, NewDraft, stamp_columns
from activelabel.store.cases.rounds import current_round
from activelabel.store.cases.slicing import fix_with_label
from activelabel.store.checks import checked_name, checked_named_slices, checked_slices, checked_word
from activelabel.store.database import Database
from activelabel.store.lookup import image_row, record_of
from activelabel.store.pool import complete, unfinished
from activelabel.store.records.labels import FINAL, Draft
from activelabel.store.schema.images import ImageRow
from activelabel.store.schema.labels import AnnotationRow, DraftRow

_TO_FINISH = (
    select(DraftRow)
    .join(ImageRow, ImageRow.id == DraftRow.image_id)
    .where(DraftRow.annotator == bindparam("name"), DraftRow.ended_at.is_(None))
    .where(or_(unfinished("training"), unfinished("validation")))
    .order_by(DraftRow.id)
)
_OPEN = select(DraftRow).where(DraftRow.ended_at.is_(None)).order_by(DraftRow.id)
_OPEN_OF = _OPEN.where(DraftRow.image_id == bindparam("image"))
"""Built once: they are executed whenever somebody asks for a case or saves a label."""


class Drafts(Database):
    """The drafts of all annotators. An annotator has at most one open draft of an image."""

    def keep_draft(self, new: NewDraft, file: KeptFile) -> tuple[Draft, RecordsByFile]:
        """Keep a draft as the open one of its image and annotator, and show it under its tag, in one step.

        No lease ends.

        Returns:
            The draft, and the records of all labels of the image as of then.

        Raises:
            NotFoundError: the image was never registered.
            InvalidInputError: the tag or annotator is empty or too long, or `slices` or `named_slices` is invalid.
            LabelChangedError: the slices of the image are counted along another axis.
        """
        checked_name(new.annotator, "annotator")
        checked_word(new.shown_as, "label tag")
        asked, named = checked_slices(new.slices), checked_named_slices(new.named_slices)
        now = self._clock()
        with self._writing() as session:
            image = image_row(session, new.image_id)
            if new.sliced is not None:
                fix_with_label(session, image, new.sliced)
            before = open_draft_row(session, new.image_id, new.annotator)
            if before is not None:
                before.ended_at = now
                session.flush()
            versions = select(func.max(DraftRow.version)).where(DraftRow.image_id == new.image_id)
            row = DraftRow(
                image_id=new.image_id,
                annotator=new.annotator,
                version=(session.scalar(versions) or 0) + 1,
                file=file.path,
                sha256=file.sha256,
                slices=asked and list(asked),
                reason=new.reason.value,
                why=new.why,
                lease_id=new.lease_id,
                created_at=now,
                named_slices=list(named) if isinstance(named, tuple) else named,
                **stamp_columns(file.stamp),
            )
            session.add(row)
            session.flush()
            _show(session, row, new.shown_as, current_round(session, now).number, new.label_names)
            if file.unsynced is not None:
                keep_content(session.connection(), file.path, file.unsynced)
            return record_of(row, Draft), records_in(session, new.image_id)

    def open_draft(self, image_id: str, annotator: str) -> Draft | None:
        """The annotator's open draft of an image, or None."""
        with self._reading() as session:
            row = open_draft_row(session, image_id, annotator)
            return None if row is None else record_of(row, Draft)

    def open_drafts(self, image_id: str | None = None) -> list[Draft]:
        """All open drafts, or those of one image, oldest first, even if somebody else has finished the case."""
        with self._reading() as session:
            rows = session.scalars(_OPEN if image_id is None else _OPEN_OF, {"image": image_id})
            return [record_of(row, Draft) for row in rows]

    def drafts_to_finish(self, annotator: str) -> list[Draft]:
        """The open drafts of an annotator whose cases are still to be annotated, oldest first."""
        with self._reading() as session:
            return [record_of(row, Draft) for row in session.scalars(_TO_FINISH, {"name": annotator})]

    def draft_history(self, image_id: str) -> list[Draft]:
        """Every draft that this image ever had, oldest first."""
        statement = select(DraftRow).where(DraftRow.image_id == image_id).order_by(DraftRow.id)
        with self._reading() as session:
            return [record_of(row, Draft) for row in session.scalars(statement)]

    def show_draft(self, image_id: str, annotator: str, tag: str) -> bool:
        """Make an annotator's own draft current under `tag`, which clients open; return whether anything changed.

        If the annotator has no draft and another annotator's draft is current, the final label replaces it, else the
        last label under `tag` that is no draft.
        """
        with self._writing() as session:
            draft = open_draft_row(session, image_id, annotator)
            shown = current_row(session, image_id, tag)
            if draft is not None:
                if shown is None or shown.file != draft.file:
                    _show(session, draft, tag, current_round(session, self._clock()).number, _names_of(session, draft))
                    return True
                return False
            if shown is None or not shows_draft(session, image_id, tag):
                return False
            shown.superseded_at = self._clock()
            session.flush()
            final = current_row(session, image_id, FINAL)
            if final is not None:
                copy_label(session, final, tag)
                return True
            before = _last_shown_that_is_no_draft(session, image_id, tag)
            if before is not None:
                before.superseded_at = None
                session.flush()
            return True

    def shows_draft(self, image_id: str, tag: str) -> bool:
        """Whether the current label of a tag is a draft, open or ended."""
        with self._reading() as session:
            return shows_draft(session, image_id, tag)

    def smallest_drawn_share(self, other_than: str) -> float | None:
        """The smallest share of drawn slices among all finished volumes except the image `other_than`.

        None if no finished volume has a count of drawn slices, or none has a drawn slice.
        """
        share = func.min(1.0 * AnnotationRow.foreground_slices / AnnotationRow.covered_slices)
        statement = select(share).where(
            complete(),
            AnnotationRow.image_id != other_than,
            AnnotationRow.covered_slices > 0,
            AnnotationRow.foreground_slices > 0,
        )
        with self._reading() as session:
            smallest = session.scalar(statement)
            return None if smallest is None else float(smallest)


def _show(session: Session, draft: DraftRow, tag: str, round_number: int, label_names: Sequence[str] | None) -> None:
    """Make a draft the current label of a tag."""
    before = current_row(session, draft.image_id, tag)
    if before is not None:
        before.superseded_at = draft.created_at
        session.flush()
    session.add(
        AnnotationRow(
            image_id=draft.image_id,
            tag=tag,
            version=last_version(session, draft.image_id, tag) + 1,
            file=draft.file,
            sha256=draft.sha256,
            slices=draft.slices,
            annotator=draft.annotator,
            round_number=round_number,
            created_at=draft.created_at,
            file_size=draft.file_size,
            file_modified_ns=draft.file_modified_ns,
            file_changed_ns=draft.file_changed_ns,
            label_names=label_names and list(label_names),
        )
    )
    session.flush()


def _names_of(session: Session, draft: DraftRow) -> Sequence[str] | None:
    """The label names of a draft, as they were recorded when the draft was first shown."""
    of_file = select(AnnotationRow).where(AnnotationRow.file == draft.file).order_by(AnnotationRow.id).limit(1)
    first = session.scalar(of_file)
    return None if first is None else first.label_names


def _last_shown_that_is_no_draft(session: Session, image_id: str, tag: str) -> AnnotationRow | None:
    """The last label under a tag that is no draft; None if it was deleted."""
    drafts = select(DraftRow.file).where(DraftRow.image_id == image_id)
    row = session.scalar(
        select(AnnotationRow)
        .where(AnnotationRow.image_id == image_id, AnnotationRow.tag == tag)
        .where(or_(AnnotationRow.file.not_in(drafts), AnnotationRow.deleted_at.is_not(None)))
        .order_by(AnnotationRow.id.desc())
        .limit(1)
    )
    return None if row is None or row.deleted_at is not None else row
