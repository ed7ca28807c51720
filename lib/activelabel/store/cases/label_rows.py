"""The rows of an image's labels and drafts: the current one, the last version, and a copy under another tag."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update
from sqlalchemy.orm import Session

from activelabel.store.pool import current
from activelabel.store.schema.labels import AnnotationRow, DraftRow

_OF_TAG = (AnnotationRow.image_id == bindparam("image"), AnnotationRow.tag == bindparam("tag"))
_CURRENT = select(AnnotationRow).where(*_OF_TAG, current())
_LAST_VERSION = select(func.max(AnnotationRow.version)).where(*_OF_TAG)
_OPEN_DRAFT = select(DraftRow).where(
    DraftRow.image_id == bindparam("image"), DraftRow.annotator == bindparam("name"), DraftRow.ended_at.is_(None)
)
_SUPERSEDE = update(AnnotationRow).where(AnnotationRow.id == bindparam("label")).values(superseded_at=bindparam("now"))
_COLUMNS = tuple(AnnotationRow.__table__.columns.keys())
_ADD = insert(AnnotationRow)
"""Built once: they are executed several times with every label."""
_NOT_COPIED = ("id", "tag", "version", "seconds", "active_seconds", "lease_id", "superseded_at", "sent_otherwise")


def add_label(connection: Connection, labels: Sequence[SimpleNamespace], values: Mapping[str, Any]) -> SimpleNamespace:
    """Add a label, which takes the place of the current one of its tag; return its row.

    `labels` are all of its image so far, as `CaseRows` has them, `values` those of its columns but for its version.
    """
    of_tag = [label for label in labels if label.tag == values["tag"]]
    for before in of_tag:
        if before.superseded_at is None and before.deleted_at is None:
            before.superseded_at = values["created_at"]
            connection.execute(_SUPERSEDE, {"label": before.id, "now": before.superseded_at})
    version = max((label.version for label in of_tag), default=0) + 1
    row = {**dict.fromkeys(_COLUMNS), **values, "version": version}
    key = connection.execute(_ADD, {name: row[name] for name in _COLUMNS if name != "id"}).inserted_primary_key
    assert key is not None
    return SimpleNamespace(**{**row, "id": key[0]})


def copied(row: SimpleNamespace, tag: str) -> dict[str, Any]:
    """The values of a label that is current under another tag too."""
    return {**{key: value for key, value in vars(row).items() if key not in _NOT_COPIED}, "tag": tag}


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
        if column.key not in _NOT_COPIED
    }
    copy = AnnotationRow(**kept, tag=tag, version=last_version(session, row.image_id, tag) + 1)
    session.add(copy)
    session.flush()
    return copy
