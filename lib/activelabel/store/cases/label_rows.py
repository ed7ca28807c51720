"""The rows of an image's labels and drafts: the current one, the last version, and a copy under another tag."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from activelabel.store.pool import current
from activelabel.store.schema.labels import AnnotationRow, DraftRow


def current_row(session: Session, image_id: str, tag: str) -> AnnotationRow | None:
    """The current label of this image and tag."""
    return session.scalar(
        select(AnnotationRow).where(AnnotationRow.image_id == image_id, AnnotationRow.tag == tag).where(current())
    )


def last_version(session: Session, image_id: str, tag: str) -> int:
    """The number of the newest label of this image and tag, 0 for none."""
    versions = select(func.max(AnnotationRow.version))
    return session.scalar(versions.where(AnnotationRow.image_id == image_id, AnnotationRow.tag == tag)) or 0


def open_draft_row(session: Session, image_id: str, annotator: str) -> DraftRow | None:
    """The open draft of an image and annotator."""
    return session.scalar(
        select(DraftRow).where(
            DraftRow.image_id == image_id, DraftRow.annotator == annotator, DraftRow.ended_at.is_(None)
        )
    )


def shows_copy(session: Session, image_id: str, tag: str, source: str) -> bool:
    """Whether the current label of `tag` is a copy of a label that was kept under the tag `source`."""
    shown = current_row(session, image_id, tag)
    if shown is None:
        return False
    kept = select(AnnotationRow).where(AnnotationRow.image_id == image_id, AnnotationRow.tag == source)
    return bool(session.scalar(select(kept.where(AnnotationRow.file == shown.file).exists())))


def shows_draft(session: Session, image_id: str, tag: str) -> bool:
    """Whether the current label of a tag is a draft, open or ended."""
    shown = current_row(session, image_id, tag)
    if shown is None:
        return False
    drafts = select(DraftRow).where(DraftRow.image_id == image_id, DraftRow.file == shown.file)
    return bool(session.scalar(select(drafts.exists())))


def copy_label(session: Session, row: AnnotationRow, tag: str, now: datetime | None = None) -> AnnotationRow:
    """Make the label current under another tag too; `now` is the time if it is not that of the label."""
    before = current_row(session, row.image_id, tag)
    if before is not None:
        before.superseded_at = now or row.created_at
        session.flush()
    kept = {
        column.key: getattr(row, column.key)
        for column in AnnotationRow.__mapper__.column_attrs
        if column.key not in ("id", "tag", "version", "seconds", "active_seconds", "lease_id", "superseded_at")
    }
    copy = AnnotationRow(**kept, tag=tag, version=last_version(session, row.image_id, tag) + 1)
    session.add(copy)
    session.flush()
    return copy
