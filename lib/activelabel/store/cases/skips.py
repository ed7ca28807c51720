"""Skipped cases: *not now* ends by itself; *cannot be annotated* holds until somebody brings the case back."""

from datetime import datetime, timedelta

from sqlalchemy import CompoundSelect, bindparam, func, literal_column, select, union_all
from sqlalchemy.orm import Session

from activelabel.store.case_states import CaseEvent, CaseFacts, Verdict
from activelabel.store.cases.case_facts import check_event, facts_by_image, facts_of, skips_in_force
from activelabel.store.cases.leases import ACTIVE_LEASE, end_leases, expire, unended_leases
from activelabel.store.checks import checked_name
from activelabel.store.database import Database
from activelabel.store.lookup import image_row, record_of
from activelabel.store.pool import current_final, decided, set_aside
from activelabel.store.records.queries import Skip, SkipKind
from activelabel.store.schema.labels import AnnotationRow, DraftRow
from activelabel.store.schema.queries import LeaseRow, SkipRow

NOT_NOW: SkipKind = "not now"
CANNOT: SkipKind = "cannot be annotated"
_EVENTS = {NOT_NOW: CaseEvent.SKIP, CANNOT: CaseEvent.SET_ASIDE}

# These are built once, because they are executed whenever somebody asks for a case.
_OTHERS: "CompoundSelect[int, int, str]" = union_all(
    select(literal_column("1").label("kind"), AnnotationRow.id.label("id"), AnnotationRow.image_id)
    .where(current_final(), AnnotationRow.id.in_(decided(Verdict.RETURNED)))
    .where(AnnotationRow.annotator != bindparam("name")),
    select(literal_column("2"), DraftRow.id, DraftRow.image_id).where(
        DraftRow.ended_at.is_(None), DraftRow.annotator != bindparam("name")
    ),
).order_by("kind", "id")
"""Cases of others: those whose label was returned to them, then those of which they have a draft."""
_PASSED_OVER = select(func.count()).select_from(
    select(SkipRow.image_id)
    .where(SkipRow.kind == NOT_NOW)
    .union(
        select(DraftRow.image_id).where(DraftRow.ended_at.is_(None)),
        select(AnnotationRow.image_id).where(AnnotationRow.id.in_(decided(Verdict.RETURNED))),
    )
    .subquery()
)


class Skips(Database):
    """The skips of all annotators, the cases that are passed over because of them, and the facts of each case."""

    def skip_case(self, annotator: str, kind: SkipKind, reason: str = "", image_id: str | None = None) -> Skip | None:
        """Record that an annotator skips a case, and end their lease on it, in one step.

        The same skip again, without having been asked for the case since, is the one before: its answer was lost.

        Without an id, skip the case that the annotator holds, or the last one whose lease expired; None if none.

        Raises:
            NotFoundError: the image was never registered.
            NotReadyError: the case is finished, set aside already, or leased to another annotator.
        """
        checked_name(annotator, "annotator")
        now = self._clock()
        with self._writing() as session:
            expire(session, now)
            image_id = image_id or _last_unanswered(session, annotator)
            return None if image_id is None else _skip(session, image_id, annotator, kind, reason, now)

    def skip_if_asked_again(self, annotator: str, after_seconds: float, before_seconds: float) -> Skip | None:
        """Skip the case that an annotator holds as *not now* if they got it in that window and sent nothing since."""
        now = self._clock()

        def is_time(granted_at: datetime) -> bool:
            return timedelta(seconds=after_seconds) <= now - granted_at <= timedelta(seconds=before_seconds)

        with self._reading() as session:  # mostly there is nothing to skip, and no writer has to wait for that
            held = session.scalar(ACTIVE_LEASE, {"name": annotator, "now": now})
            if held is None or not is_time(held.granted_at):
                return None
        with self._writing() as session:
            expire(session, now)
            held = session.scalar(ACTIVE_LEASE, {"name": annotator, "now": now})
            if held is None or not is_time(held.granted_at):
                return None
            sent = select(DraftRow).where(DraftRow.image_id == held.image_id, DraftRow.annotator == annotator)
            if session.scalar(select(sent.where(DraftRow.created_at >= held.granted_at).exists())):
                return None
            reason = f"asked again after {(now - held.granted_at).total_seconds():.0f} s"
            return _skip(session, held.image_id, annotator, NOT_NOW, reason, now)

    def bring_back(self, image_id: str, annotator: str) -> Skip:
        """Put a case back into the pool that was set aside as one that cannot be annotated.

        Raises:
            NotFoundError: the image was never registered.
            NotReadyError: the case is not set aside.
        """
        checked_name(annotator, "annotator")
        now = self._clock()
        with self._writing() as session:
            image_row(session, image_id)
            check_event(CaseEvent.BRING_BACK, session, image_id, annotator, now)
            row = session.scalars(select(SkipRow).where(SkipRow.image_id == image_id, set_aside())).one()
            row.ended_at, row.ended_by = now, annotator
            return record_of(row, Skip)

    def skips(self, image_id: str | None = None) -> list[Skip]:
        """All skips ever recorded, or those of one image, oldest first."""
        statement = select(SkipRow).order_by(SkipRow.id)
        if image_id is not None:
            statement = statement.where(SkipRow.image_id == image_id)
        with self._reading() as session:
            return [record_of(row, Skip) for row in session.scalars(statement)]

    def set_aside_cases(self) -> list[Skip]:
        """The skips of the cases that are set aside now, oldest first."""
        statement = select(SkipRow).where(set_aside()).order_by(SkipRow.id)
        with self._reading() as session:
            return [record_of(row, Skip) for row in session.scalars(statement)]

    def skipped_for_now(self) -> list[Skip]:
        """The skips by which a case is passed over for an annotator now, oldest first."""
        with self._reading() as session:
            annotators = session.scalars(select(SkipRow.annotator).where(SkipRow.kind == NOT_NOW).distinct()).all()
            rows = [row for annotator in annotators for row in skips_in_force(session, annotator)]
            return [record_of(row, Skip) for row in sorted(rows, key=lambda row: row.id)]

    def passed_over(self, annotator: str) -> list[str]:
        """The images to ask this annotator for only if nothing else is left, in the order in which they come back.

        First come the images that the annotator skipped for now without being given enough others since, then those
        whose label was returned to another annotator, then those of which another annotator has a draft.
        """
        with self._reading() as session:
            skipped = [row.image_id for row in skips_in_force(session, annotator)]
            others = [image_id for _, _, image_id in session.execute(_OTHERS, {"name": annotator})]
            return list(dict.fromkeys([*skipped, *others]))

    def count_passed_over(self) -> int:
        """An upper bound on the images passed over for any annotator: ever skipped, returned, or with a draft."""
        with self._reading() as session:
            return session.scalar(_PASSED_OVER) or 0

    def case_facts(self, image_id: str) -> CaseFacts:
        """The facts of a case as of now.

        Raises:
            NotFoundError: the image was never registered.
        """
        with self._reading() as session:
            image_row(session, image_id)
            return facts_of(session, image_id, self._clock())

    def touched_case_facts(self) -> dict[str, CaseFacts]:
        """The facts of the cases to which something has happened, by image, as of now."""
        with self._reading() as session:
            return facts_by_image(session, self._clock())


def _skip(session: Session, image_id: str, annotator: str, kind: SkipKind, reason: str, now: datetime) -> Skip:
    image_row(session, image_id)
    repeated = _newest_unasked(session, image_id, annotator)
    if repeated is not None and (repeated.kind, repeated.reason, repeated.ended_at) == (kind, reason, None):
        return record_of(repeated, Skip)
    check_event(_EVENTS[kind], session, image_id, annotator, now)
    held = [lease for lease in unended_leases(session, image_id) if lease.annotator == annotator]
    end_leases(session, held, "released", now)
    row = SkipRow(
        image_id=image_id,
        annotator=annotator,
        kind=kind,
        reason=reason,
        last_lease=session.scalar(select(func.max(LeaseRow.id))) or 0,
        created_at=now,
    )
    session.add(row)
    session.flush()
    return record_of(row, Skip)


def _last_unanswered(session: Session, annotator: str) -> str | None:
    """The image of the annotator's newest lease, unless the lease was answered or skipped."""
    newest = select(LeaseRow).where(LeaseRow.annotator == annotator).order_by(LeaseRow.id.desc()).limit(1)
    lease = session.scalar(newest)
    return lease.image_id if lease is not None and lease.outcome in (None, "expired") else None


def _newest_unasked(session: Session, image_id: str, annotator: str) -> SkipRow | None:
    """An annotator's newest skip of an image, if they were not asked for the image since."""
    own = select(SkipRow).where(SkipRow.image_id == image_id, SkipRow.annotator == annotator)
    newest = session.scalar(own.order_by(SkipRow.id.desc()).limit(1))
    if newest is None:
        return None
    asked = select(LeaseRow).where(LeaseRow.image_id == image_id, LeaseRow.annotator == annotator)
    return None if session.scalar(select(asked.where(LeaseRow.id > newest.last_lease).exists())) else newest
