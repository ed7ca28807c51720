"""Which images may be asked for, as conditions for a query. Everyone who asks uses these, so that all agree.

They exclude by NOT IN a list, which both databases make once a query. NOT EXISTS was 12 s at 10,000 images on a
PostgreSQL that had not yet counted its rows, as in the first minute of a study.
"""

from datetime import datetime

from sqlalchemy import ColumnElement, and_, null, select

from activelabel.store.records import FINAL, Role
from activelabel.store.schema import AnnotationRow, ImageRow, LeaseRow, SkipRow


def in_pool(role: Role, now: datetime) -> ColumnElement[bool]:
    """Images of this role that can be asked for: `unfinished`, and not leased to anyone."""
    return and_(unfinished(role), ImageRow.id.not_in(select(LeaseRow.image_id).where(active(now))))


def unfinished(role: Role) -> ColumnElement[bool]:
    """Images of this role that are there, readable, not fully annotated and not set aside; somebody may be at work."""
    return and_(
        ImageRow.role == role,
        ImageRow.present.is_(True),
        ImageRow.unreadable_reason.is_(None),
        ImageRow.id.not_in(select(AnnotationRow.image_id).where(complete())),
        ImageRow.id.not_in(select(SkipRow.image_id).where(set_aside())),
    )


def set_aside() -> ColumnElement[bool]:
    """Skips that keep an image out of the pool: it cannot be annotated, and nobody has brought it back."""
    return and_(SkipRow.kind == "cannot be annotated", SkipRow.ended_at.is_(None))


def current() -> ColumnElement[bool]:
    """Annotations that were neither superseded nor deleted: at most one an image and tag."""
    return and_(AnnotationRow.superseded_at.is_(None), AnnotationRow.deleted_at.is_(None))


def current_final() -> ColumnElement[bool]:
    """Current annotations that count: at most one an image."""
    return and_(AnnotationRow.tag == FINAL, current())


def complete() -> ColumnElement[bool]:
    """Current final annotations of a whole volume: its image is annotated."""
    return and_(current_final(), AnnotationRow.slices.is_(null()))


def active(now: datetime) -> ColumnElement[bool]:
    """Leases that hold now: not ended, and not expired either, whether or not the expiry was written down."""
    return and_(LeaseRow.ended_at.is_(None), LeaseRow.expires_at > now)
