"""The rows of an image's labels and drafts: the current one, the last version, and a copy under another tag."""

from datetime import datetime

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from activelabel.store.pool import current
from activelabel.store.schema.labels import AnnotationRow, DraftRow

_OF_TAG = (AnnotationRow.image_id == bindparam("image"), AnnotationRow.tag == bindparam("tag"))
_CURRENT = select(AnnotationRow).where(*_OF_TAG, current())
_LAST_VERSION = select(func.max(AnnotationRow.version)).where(*_OF_TAG)
_OPEN_DRAFT = select(DraftRow).where(
    DraftRow.image_id == bindparam("image"), DraftRow.annotator == bindparam("name"), DraftRow.ended_at.is_(None)
)
"""Built once: they are executed several times with every label."""


def current_row(session: Session, image_id: str, tag: str) -> AnnotationRow | None:
    """The current label of this image and tag."""
    return session.scalar(_CURRENT, {"image": image_id, "tag": tag})


def last_version(session: Session, image_id: str, tag: str) -> int:
    """The number of the newest label of this image and tag, 0 for none."""
    return session.scalar(_LAST_VERSION, {"image": image_id, "tag": tag}) or 0


def open_draft_row(session: Session, image_id: str, annotator: str) -> DraftRow | None:
    """The open draft of an image and annotator."""
    return session.scalar(_OPEN_DRAFT, {"image": image_id, "name": annotator})


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
