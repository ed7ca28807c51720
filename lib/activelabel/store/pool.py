"""Which images may be asked for, as SQL conditions. All code that selects images uses them, so that all agree.

The conditions exclude by NOT IN a list, which both databases build once per SQL query. NOT EXISTS took 12 s at 10,000
images on a PostgreSQL without row statistics, as in the first minute of a study.
"""

from datetime import datetime

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    CompoundSelect,
    ScalarSelect,
    Select,
    and_,
    func,
    literal_column,
    null,
    or_,
    select,
    union,
    union_all,
)
from sqlalchemy.orm import aliased

from activelabel.store.case_states import Verdict
from activelabel.store.records.images import Role
from activelabel.store.records.labels import FINAL, SECOND
from activelabel.store.schema.images import ImageRow
from activelabel.store.schema.labels import AnnotationRow
from activelabel.store.schema.queries import LeaseRow, SkipRow
from activelabel.store.schema.reviews import ReadingRow, ReviewRow


def in_pool(role: Role, now: datetime | BindParameter[datetime]) -> ColumnElement[bool]:
    """Images of this role that may be asked for: `unfinished` and not leased."""
    return and_(unfinished(role), ImageRow.id.not_in(select(LeaseRow.image_id).where(active(now))))


def unfinished(role: Role) -> ColumnElement[bool]:
    """Images of this role that are present, readable, not fully annotated and not set aside; they may be leased."""
    return and_(
        of_role(role),
        ImageRow.present.is_(True),
        ImageRow.unreadable_reason.is_(None),
        ImageRow.id.not_in(select(AnnotationRow.image_id).where(complete())),
        ImageRow.id.not_in(select(SkipRow.image_id).where(set_aside())),
    )


def of_role(role: Role) -> ColumnElement[bool]:
    """Images of this role, by its name itself: SQLite finds the few for validation by their index only so."""
    return ImageRow.role == literal_column(f"'{role}'")


def set_aside() -> ColumnElement[bool]:
    """Skips that keep an image out of the pool: it was marked as one that cannot be annotated and not brought back."""
    return and_(SkipRow.kind == "cannot be annotated", SkipRow.ended_at.is_(None))


def current() -> ColumnElement[bool]:
    """Annotations that were neither superseded nor deleted: at most one per image and tag."""
    return and_(AnnotationRow.superseded_at.is_(None), AnnotationRow.deleted_at.is_(None))


def current_final() -> ColumnElement[bool]:
    """Current annotations with the tag `final`: at most one per image."""
    return and_(AnnotationRow.tag == FINAL, current())


def counting() -> ColumnElement[bool]:
    """Current final annotations that no reviewer has returned: what they cover is annotated."""
    return and_(current_final(), AnnotationRow.id.not_in(decided(Verdict.RETURNED)))


def complete() -> ColumnElement[bool]:
    """Counting annotations of a whole volume: the image is fully annotated."""
    return and_(counting(), AnnotationRow.slices.is_(null()))


def learnable(only_approved: bool) -> ColumnElement[bool]:
    """Annotations that a training may learn from, at most one per image.

    Without review these are the annotations that count, without those of images whose two readings differ, unless a
    reviewer has approved them. If only approved ones are learnt from, these are the newest approved version of each
    image whose label was not taken back since: a later version waits for its review.
    """
    if not only_approved:
        undisputed = or_(AnnotationRow.image_id.not_in(disputed()), AnnotationRow.id.in_(decided(Verdict.APPROVED)))
        return and_(counting(), undisputed)
    newest_approved = (
        select(func.max(AnnotationRow.id))
        .where(AnnotationRow.tag == FINAL, AnnotationRow.id.in_(decided(Verdict.APPROVED)))
        .group_by(AnnotationRow.image_id)
    )
    return and_(AnnotationRow.id.in_(newest_approved), AnnotationRow.id > last_taken_back())


def used_to_learn(only_approved: bool) -> ColumnElement[bool]:
    """Those of the `learnable` annotations of training images that a training learns from (`loop.training_cases`).

    It learns nothing from a copy of an image that judges.
    """
    drawn_on = AnnotationRow.image_sha256
    is_no_copy = or_(drawn_on.is_(null()), drawn_on.not_in(_judging(only_approved)))
    return and_(ImageRow.role == "training", is_no_copy)


def _judging(only_approved: bool) -> Select[str | None]:
    """The digests of the images whose labels judge models."""
    usable = (ImageRow.present.is_(True), ImageRow.unreadable_reason.is_(None))
    whole = (AnnotationRow.slices.is_(null()), AnnotationRow.image_sha256.is_not(null()))
    drawn_on = select(AnnotationRow.image_sha256).join(ImageRow, ImageRow.id == AnnotationRow.image_id)
    return drawn_on.where(of_role("validation"), *usable, *whole, learnable(only_approved)).correlate(None)


def waits_for_second(annotator: str) -> ColumnElement[bool]:
    """Final annotations of whole volumes that an annotator may read a second time.

    Nobody has read them twice or decided about them, and the annotator has drawn no label of the image.
    """
    decisions = (AnnotationRow.id.not_in(decided(verdict)) for verdict in Verdict)
    others = (AnnotationRow.image_id.not_in(drawn_by(annotator)), AnnotationRow.image_id.not_in(read_twice()))
    return and_(complete(), *others, *decisions)


def drawn_by(person: str) -> Select[str]:
    """The ids of the images of which somebody has drawn a label or a second reading that was not taken back."""
    one = aliased(AnnotationRow)
    own = (one.tag.in_((FINAL, SECOND)), one.annotator == person, one.deleted_at.is_(None))
    return select(one.image_id).where(*own)


def read_twice() -> CompoundSelect[str]:
    """The ids of the images that two annotators have read, whether or not their readings could be compared."""
    final, second = aliased(AnnotationRow), aliased(AnnotationRow)
    current_ones = [one.superseded_at.is_(None) & one.deleted_at.is_(None) for one in (final, second)]
    both = select(second.image_id).join(final, final.image_id == second.image_id).where(*current_ones)
    by_two = both.where(final.tag == FINAL, second.tag == SECOND, final.annotator != second.annotator)
    return union(by_two, select(ReadingRow.image_id).where(current_reading()))


def current_reading() -> ColumnElement[bool]:
    """Comparisons that are neither replaced by newer ones nor ended, as a reading was taken back: one per image."""
    return ReadingRow.superseded_at.is_(None)


def disputed() -> Select[str]:
    """The ids of the images whose two readings differ."""
    return select(ReadingRow.image_id).where(ReadingRow.agrees.is_(False), current_reading())


def readers_who_differ() -> Select[str, str]:
    """Image and annotator of both readings of each image whose readings differ."""
    differ = (ReadingRow.agrees.is_(False), current_reading())
    readings = union_all(select(ReadingRow.first_id).where(*differ), select(ReadingRow.second_id).where(*differ))
    return select(AnnotationRow.image_id, AnnotationRow.annotator).where(AnnotationRow.id.in_(readings))


def last_taken_back() -> ScalarSelect[int]:
    """The id of the last final annotation of the same image that was taken back, 0 for none."""
    other = aliased(AnnotationRow)
    return (
        select(func.coalesce(func.max(other.id), 0))
        .where(other.image_id == AnnotationRow.image_id, other.tag == FINAL, other.deleted_at.is_not(null()))
        .correlate(AnnotationRow)
        .scalar_subquery()
    )


def decided(verdict: Verdict) -> Select[int]:
    """The ids of the annotations about which this is the standing decision."""
    return select(ReviewRow.annotation_id).where(ReviewRow.outcome == verdict.value, ReviewRow.superseded_at.is_(None))


def being_reviewed(now: datetime) -> ColumnElement[bool]:
    """Reviews that a reviewer has not ended and that have not expired."""
    return and_(ReviewRow.outcome.is_(None), ReviewRow.expires_at > now)


def active(now: datetime | BindParameter[datetime]) -> ColumnElement[bool]:
    """Active leases: neither ended nor expired, whether or not the expiry was written down."""
    return and_(LeaseRow.ended_at.is_(None), LeaseRow.expires_at > now)
