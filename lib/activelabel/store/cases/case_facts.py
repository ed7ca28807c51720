"""Reads what is true of each case from the tables: the facts from which its state follows."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Select, bindparam, func, null, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session

from activelabel.errors import NotReadyError
from activelabel.store.case_states import COMES_BACK_AFTER, CaseEvent, CaseFacts, Verdict, refusal
from activelabel.store.pool import active, being_reviewed, current_final, readers_who_differ, set_aside
from activelabel.store.records.labels import FINAL
from activelabel.store.schema.labels import AnnotationRow, DraftRow
from activelabel.store.schema.queries import LeaseRow, SkipRow
from activelabel.store.schema.reviews import ReviewRow

UNTOUCHED = CaseFacts()
"""The facts of a case to which nothing has happened."""
Labels = Mapping[str, tuple[int, bool]]
"""The current final label of each image: its id, and whether it covers the whole volume."""

_RECENT_LEASES = (
    select(LeaseRow.id, LeaseRow.image_id)
    .where(LeaseRow.annotator == bindparam("name"))
    .order_by(LeaseRow.id.desc())
    .limit(COMES_BACK_AFTER)
)
_OLDEST_LEASE = (
    select(LeaseRow.id)
    .where(LeaseRow.annotator == bindparam("name"))
    .order_by(LeaseRow.id.desc())
    .limit(1)
    .offset(COMES_BACK_AFTER - 1)
    .scalar_subquery()
)
_LATE_SKIPS = (
    select(SkipRow)
    .where(SkipRow.annotator == bindparam("name"), SkipRow.kind == "not now")
    .where(SkipRow.last_lease >= func.coalesce(_OLDEST_LEASE, 0))
    .order_by(SkipRow.id)
)
"""Built once: they are executed whenever somebody asks for a case."""


def check_event(event: CaseEvent, session: Session, image_id: str, person: str, now: datetime) -> CaseFacts:
    """The facts of a case of which this person may cause the event now.

    Raises:
        NotReadyError: they may not; the line says why.
    """
    facts = facts_of(session, image_id, now)
    problem = refusal(event, facts, person)
    if problem is not None:
        raise NotReadyError(f"image '{image_id}' {problem}")
    return facts


def facts_of(session: Session, image_id: str, now: datetime) -> CaseFacts:
    """The facts of one case."""
    return facts_by_image(session, now, image_id).get(image_id, UNTOUCHED)


def facts_by_image(session: Session, now: datetime, image_id: str | None = None) -> dict[str, CaseFacts]:
    """The facts of each case to which something has happened; of one image only, if given."""

    def of(column: InstrumentedAttribute[str]) -> ColumnElement[bool]:
        return true() if image_id is None else column == image_id

    columns = select(AnnotationRow.image_id, AnnotationRow.id, AnnotationRow.slices.is_(null()))
    finals = session.execute(columns.where(current_final(), of(AnnotationRow.image_id))).tuples()
    labels = {one: (label, whole) for one, label, whole in finals}
    aside = set(session.scalars(select(SkipRow.image_id).where(set_aside(), of(SkipRow.image_id))))
    held = _people(session, select(LeaseRow.image_id, LeaseRow.annotator).where(active(now), of(LeaseRow.image_id)))
    drafts = _people(
        session, select(DraftRow.image_id, DraftRow.annotator).where(DraftRow.ended_at.is_(None), of(DraftRow.image_id))
    )
    skipped = _skipped(session, image_id)
    verdicts, reviewers = _reviews(session, labels, now, image_id)
    drawn = _drawn_by(session, image_id)
    differ = _people(session, readers_who_differ().where(of(AnnotationRow.image_id)))
    touched = labels.keys() | aside | held.keys() | drafts.keys() | skipped.keys()
    return {
        one: CaseFacts(
            whole=one in labels and labels[one][1],
            partly=one in labels and not labels[one][1],
            set_aside=one in aside,
            held_by=frozenset(held.get(one, ())),
            drafts_of=frozenset(drafts.get(one, ())),
            skipped_by=frozenset(skipped.get(one, ())),
            verdict=verdicts.get(one),
            reviewed_by=reviewers.get(one),
            drawn_by=frozenset(drawn.get(one, ())) if one in labels else frozenset(),
            differently_read_by=frozenset(differ.get(one, ())),
        )
        for one in touched
    }


def skips_in_force(session: Session, annotator: str) -> Sequence[SkipRow]:
    """The annotator's *not now* skips that still hold, one per image, oldest first.

    A skip holds until the annotator was given the case again, or `COMES_BACK_AFTER` others. So only skips younger than
    the annotator's lease `COMES_BACK_AFTER` leases ago are read.
    """
    latest = {row.image_id: row for row in session.scalars(_LATE_SKIPS, {"name": annotator})}
    if not latest:
        return []
    recent_leases = session.execute(_RECENT_LEASES, {"name": annotator}).tuples().all()
    newest_lease_of = {image_id: lease for lease, image_id in reversed(recent_leases)}
    return sorted(
        (row for row in latest.values() if newest_lease_of.get(row.image_id, 0) <= row.last_lease),
        key=lambda row: row.id,
    )


def _people(session: Session, pairs: Select[str, str]) -> dict[str, set[str]]:
    """The people of each image."""
    found = defaultdict[str, set[str]](set)
    for image_id, person in session.execute(pairs).tuples():
        found[image_id].add(person)
    return found


def _skipped(session: Session, image_id: str | None) -> dict[str, set[str]]:
    """The annotators who have skipped an image for now, by image."""
    skippers = select(SkipRow.annotator).where(SkipRow.kind == "not now").distinct()
    if image_id is not None:
        skippers = skippers.where(SkipRow.image_id == image_id)
    found = defaultdict[str, set[str]](set)
    for name in session.scalars(skippers).all():
        for row in skips_in_force(session, name):
            found[row.image_id].add(name)
    return {one: names for one, names in found.items() if image_id in (None, one)}


def _reviews(
    session: Session, labels: Labels, now: datetime, image_id: str | None
) -> tuple[dict[str, Verdict], dict[str, str]]:
    """The standing decision about the current label of each image, and who has that label before them."""
    standing = ReviewRow.outcome.in_([verdict.value for verdict in Verdict]) & ReviewRow.superseded_at.is_(None)
    columns = select(ReviewRow.image_id, ReviewRow.annotation_id, ReviewRow.outcome, ReviewRow.reviewer)
    statement = columns.where(standing | being_reviewed(now))
    if image_id is not None:
        statement = statement.where(ReviewRow.image_id == image_id)
    verdicts, reviewers = dict[str, Verdict](), dict[str, str]()
    for one, annotation_id, outcome, reviewer in session.execute(statement).tuples():
        if one not in labels or labels[one][0] != annotation_id:
            continue
        if outcome is None:
            reviewers[one] = reviewer
        else:
            verdicts[one] = Verdict(outcome)
    return verdicts, reviewers


def _drawn_by(session: Session, image_id: str | None) -> dict[str, set[str]]:
    """The annotators of the versions of each final label since it was last taken back."""
    columns = select(AnnotationRow.image_id, AnnotationRow.annotator, AnnotationRow.deleted_at)
    statement = columns.where(AnnotationRow.tag == FINAL).order_by(AnnotationRow.id)
    if image_id is not None:
        statement = statement.where(AnnotationRow.image_id == image_id)
    found = defaultdict[str, set[str]](set)
    for one, annotator, deleted_at in session.execute(statement).tuples():
        if deleted_at is not None:
            found[one] = set()
        else:
            found[one].add(annotator)
    return found
