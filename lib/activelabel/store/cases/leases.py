"""Leases: a query is given to one annotator for a while, and never to two at once.

The slices or the volume of a lease are written to `lease_items`, where the database itself forbids a second holder. An
expired lease holds nothing, whether or not the expiry was written down already.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, delete, exists, func, or_, select, update
from sqlalchemy.orm import Session

from activelabel.store.cases.rounds import begin_round
from activelabel.store.checks import checked_name, checked_slices, checked_word
from activelabel.store.columns import UtcDateTime
from activelabel.store.database import Database
from activelabel.store.lookup import image_row, record_of
from activelabel.store.pool import active, counting, current_final, set_aside, waits_for_second
from activelabel.store.records.images import Slices
from activelabel.store.records.queries import SECOND_READING, Lease, Outcome
from activelabel.store.schema.images import ImageRow
from activelabel.store.schema.labels import AnnotationRow
from activelabel.store.schema.queries import WHOLE_VOLUME, LeaseItemRow, LeaseRow, SkipRow
from activelabel.store.schema.study import RoundRow

_NOW = bindparam("now", type_=UtcDateTime)
ACTIVE_LEASE = select(LeaseRow).where(LeaseRow.annotator == bindparam("name"), active(_NOW))
_UNENDED = select(LeaseRow).where(LeaseRow.annotator == bindparam("name"), LeaseRow.ended_at.is_(None))
_UNENDED_OF_ALL = select(LeaseRow).where(LeaseRow.ended_at.is_(None)).order_by(LeaseRow.id)
_UNENDED_OF = _UNENDED_OF_ALL.where(LeaseRow.image_id == bindparam("image"))
_OF_ANNOTATOR = select(LeaseRow).where(LeaseRow.image_id == bindparam("image"), LeaseRow.annotator == bindparam("name"))
_LAST_OF = _OF_ANNOTATOR.order_by(LeaseRow.id.desc()).limit(1)
_OVERDUE = select(LeaseRow).where(LeaseRow.ended_at.is_(None), LeaseRow.expires_at <= _NOW)
_FREE = delete(LeaseItemRow).where(LeaseItemRow.lease_id == bindparam("lease"))
_END = (
    update(LeaseRow)
    .where(LeaseRow.id == bindparam("lease"))
    .values(ended_at=bindparam("ended_at"), outcome=bindparam("outcome"))
)
_IMAGE: BindParameter[str] = bindparam("image")
_WANTED = (
    select(
        ImageRow,
        RoundRow,
        _OVERDUE.with_only_columns(LeaseRow.id).exists().label("overdue"),
        _UNENDED.with_only_columns(LeaseRow.id).exists().label("holds"),
        select(SkipRow.id).where(SkipRow.image_id == _IMAGE, set_aside()).exists().label("set_aside"),
        exists().where(LeaseItemRow.image_id == _IMAGE).label("held"),
        select(AnnotationRow.id).where(AnnotationRow.image_id == _IMAGE, current_final()).exists().label("labelled"),
    )
    .outerjoin(RoundRow, RoundRow.number == select(func.max(RoundRow.number)).scalar_subquery())
    .where(ImageRow.id == _IMAGE)
)
"""All that decides about most leases: the image, the newest round, and which further rows there are."""
_COVERED = select(AnnotationRow.slices).where(AnnotationRow.image_id == bindparam("image"), counting())
"""Built once: they are executed whenever somebody asks for a case."""


class Leases(Database):
    """The leases of all annotators."""

    def active_lease(self, annotator: str) -> Lease | None:
        """The active lease of this annotator, or None."""
        now = self._clock()
        with self._reading() as session:
            row = session.scalar(ACTIVE_LEASE, {"name": annotator, "now": now})
            return None if row is None else lease_record(row, now)

    def active_leases(self, image_id: str | None = None) -> list[Lease]:
        """The active leases on this image, or on all images, in the order in which they were granted."""
        now = self._clock()
        statement = select(LeaseRow).where(active(now)).order_by(LeaseRow.id)
        if image_id is not None:
            statement = statement.where(LeaseRow.image_id == image_id)
        with self._reading() as session:
            return [lease_record(row, now) for row in session.scalars(statement)]

    def grant_lease(
        self,
        annotator: str,
        image_id: str,
        minutes: float,
        strategy: str,
        *,
        slices: Iterable[int] | None = None,
        model_version: int | None = None,
        score: float | None = None,
        reason: str = "",
    ) -> Lease | None:
        """Give a volume, or slices of it, to an annotator for some minutes.

        An annotator holds at most one active lease. If the annotator already has one, it is returned whatever the
        arguments are, so that a request sent twice has one answer. The result is None if the image is not available:
        another annotator holds it or some of the slices, or it is annotated, set aside, absent or unreadable. The
        caller then tries the next image. A `second_reading` takes an image that another annotator has finished.

        Raises:
            NotFoundError: the image was never registered.
            InvalidInputError: the annotator or strategy is empty or too long, or `slices` is invalid.
            ValueError: `minutes` is not positive.
        """
        if not minutes > 0:
            raise ValueError(f"minutes of a lease: expected > 0, got {minutes}")
        checked_name(annotator, "annotator")
        checked_word(strategy, "strategy")
        wanted = checked_slices(slices)
        now = self._clock()
        with self._writing() as session:
            values = {"image": image_id, "name": annotator, "now": now}
            found = session.execute(_WANTED, values).one_or_none()
            if found is None or found.overdue:
                image_row(session, image_id)  # raises if there is no such image
                expire(session, now)
                found = session.execute(_WANTED, values).one()
            if found.holds:
                return lease_record(session.scalars(_UNENDED, {"name": annotator}).one(), now)
            image: ImageRow = found.ImageRow
            if not _is_free(session, found, annotator, strategy, wanted, now):
                return None
            newest_round = found.RoundRow or begin_round(session, None, now)
            row = LeaseRow(
                image_id=image_id,
                slices=wanted and list(wanted),
                annotator=annotator,
                strategy=strategy,
                model_version=model_version,
                score=score,
                reason=reason,
                round_number=newest_round.number,
                granted_at=now,
                expires_at=now + timedelta(minutes=minutes),
            )
            _hold(session, image, row, wanted)
            return lease_record(row, now)

    def would_grant(self, annotator: str, image_id: str, strategy: str, slices: Slices = None) -> bool:
        """Whether `grant_lease` would give this to an annotator who holds nothing; nothing is written.

        What anybody holds is not available, what this annotator holds included.
        """
        now = self._clock()
        with self._reading() as session:
            found = session.execute(_WANTED, {"image": image_id, "name": annotator, "now": now}).one_or_none()
            return found is not None and _is_free(session, found, annotator, strategy, slices, now)

    def release_lease(self, annotator: str) -> Lease | None:
        """End this annotator's active lease without an annotation or a skip; None if there is none."""
        now = self._clock()
        with self._writing() as session:
            row = session.scalar(ACTIVE_LEASE, {"name": annotator, "now": now})
            if row is None:
                return None
            end_leases(session, [row], "released", now)
            return lease_record(row, now)

    def last_lease(self, image_id: str, annotator: str) -> Lease | None:
        """The newest lease that this annotator ever had on an image, or None."""
        now = self._clock()
        with self._reading() as session:
            row = session.scalar(_LAST_OF, {"image": image_id, "name": annotator})
            return None if row is None else lease_record(row, now)

    def leases(self, round_number: int | None = None) -> list[Lease]:
        """All leases ever granted, or those of one round, in the order of granting."""
        now = self._clock()
        statement = select(LeaseRow).order_by(LeaseRow.id)
        if round_number is not None:
            statement = statement.where(LeaseRow.round_number == round_number)
        with self._reading() as session:
            return [lease_record(row, now) for row in session.scalars(statement)]


def unended_leases(session: Session, image_id: str | None = None) -> Sequence[LeaseRow]:
    """The leases of one image, or of all images, without an end in the ledger; they may have expired."""
    return session.scalars(_UNENDED_OF_ALL if image_id is None else _UNENDED_OF, {"image": image_id}).all()


def end_leases(session: Session, rows: Iterable[LeaseRow], outcome: Outcome, now: datetime) -> None:
    """End these leases and free their slices or volumes. A lease that expired earlier gets its expiry as its end."""
    for row in rows:
        row.ended_at, row.outcome = _end_of(row, outcome, now)
        session.execute(_FREE, {"lease": row.id}, execution_options={"synchronize_session": False})
    session.flush()


def end_read_leases(connection: Connection, rows: Iterable[SimpleNamespace], now: datetime) -> None:
    """The same for leases of `CaseRows` that a label answers, in a fraction of the time."""
    for row in rows:
        row.ended_at, row.outcome = _end_of(row, "saved", now)
        connection.execute(_END, {"lease": row.id, "ended_at": row.ended_at, "outcome": row.outcome})
        connection.execute(_FREE, {"lease": row.id})


def _end_of(row: LeaseRow | SimpleNamespace, outcome: Outcome, now: datetime) -> tuple[datetime, Outcome]:
    expired = row.expires_at <= now
    return (row.expires_at, "expired") if expired else (now, outcome)


def expire(session: Session, now: datetime) -> None:
    """Write down which leases have expired."""
    end_leases(session, session.scalars(_OVERDUE, {"now": now}).all(), "expired", now)


def _is_free(session: Session, found: Any, annotator: str, strategy: str, wanted: Slices, now: datetime) -> bool:
    """Whether an image may be leased to an annotator for a strategy: as a second reading, or as any other query."""
    if strategy == SECOND_READING:
        return _waits_for_second(session, found.ImageRow, annotator, now)
    return _is_available(session, found, wanted, now)


def _is_available(session: Session, found: Any, wanted: Slices, now: datetime) -> bool:
    """Whether an image, or the slices `wanted` of it, may be leased."""
    image: ImageRow = found.ImageRow
    if not image.usable_now or found.set_aside:
        return False
    labels = session.scalars(_COVERED, {"image": image.id}).all() if found.labelled else ()
    for covered in labels:
        if covered is None or (wanted is not None and not set(wanted).isdisjoint(covered)):
            return False
    return not (found.held and _is_held(session, image, wanted, now))


def _waits_for_second(session: Session, image: ImageRow, annotator: str, now: datetime) -> bool:
    """Whether an annotator may read an image a second time now."""
    waiting = select(AnnotationRow.image_id).where(AnnotationRow.image_id == image.id, waits_for_second(annotator))
    waits = image.usable_now and bool(session.scalar(select(waiting.exists())))
    return waits and not _is_held(session, image, None, now)


def _is_held(session: Session, image: ImageRow, wanted: Slices, now: datetime) -> bool:
    """Whether an active lease has the image, or slices that are `wanted`; an expired one may have items left."""
    in_force = select(LeaseRow.id).where(LeaseRow.id == LeaseItemRow.lease_id, active(now))
    held = exists().where(LeaseItemRow.image_id == image.id, in_force.exists())
    if wanted is not None:
        held = held.where(or_(LeaseItemRow.slice_index.in_(wanted), LeaseItemRow.whole))
    return bool(session.scalar(select(held)))


def _hold(session: Session, image: ImageRow, lease: LeaseRow, wanted: Slices) -> None:
    """Write the lease and its items."""
    image.leased_whole = wanted is None
    session.add(lease)
    session.flush()
    session.add_all(
        LeaseItemRow(image_id=image.id, slice_index=index, whole=wanted is None, lease_id=lease.id)
        for index in wanted or (WHOLE_VOLUME,)
    )
    session.flush()


def lease_record(row: LeaseRow | SimpleNamespace, now: datetime) -> Lease:
    """The record of a lease as of `now`: an expired lease is ended, even if the ledger does not say so yet."""
    lapsed = row.ended_at is None and row.expires_at <= now
    ended = {"ended_at": row.expires_at, "outcome": "expired"} if lapsed else {}
    return record_of(row, Lease, **ended)
