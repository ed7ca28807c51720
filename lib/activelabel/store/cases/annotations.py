"""Annotations: every label that was kept, who made it and for which query. No row is ever removed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Connection, Select, bindparam, null, select, update
from sqlalchemy.orm import Session, defer

from activelabel.data.slice_digests import DIGEST_FORMAT
from activelabel.errors import NotFoundError
from activelabel.store.case_states import Verdict
from activelabel.store.cases.active_time import active_seconds_since_label
from activelabel.store.cases.case_records import RecordsByFile, records_of
from activelabel.store.cases.case_rows import CaseRows
from activelabel.store.cases.label_contents import keep_content
from activelabel.store.cases.label_rows import add_label, copied, current_row
from activelabel.store.cases.leases import end_read_leases
from activelabel.store.cases.new_annotation import LabelChangedError, NewAnnotation, stamp_columns
from activelabel.store.cases.readings import end_comparison, record_reading
from activelabel.store.cases.rounds import begin_round
from activelabel.store.cases.slicing import fix_with_label
from activelabel.store.checks import checked_name, checked_slices, checked_word
from activelabel.store.database import Database
from activelabel.store.lookup import record_of
from activelabel.store.pool import counting, current, current_final, learnable
from activelabel.store.records.case import CaseHistory
from activelabel.store.records.images import Role, Slices
from activelabel.store.records.labels import FINAL, SECOND, Annotation
from activelabel.store.schema.images import ImageRow
from activelabel.store.schema.labels import AnnotationRow, DraftRow
from activelabel.store.schema.models import ModelAnnotationRow
from activelabel.store.schema.queries import SkipRow

_LISTED = select(AnnotationRow).options(defer(AnnotationRow.sent_otherwise, raiseload=True))
"""Without the digests of what was sent: kilobytes of JSON a label, which only the history of a case needs."""
_END_DRAFT = update(DraftRow).where(DraftRow.id == bindparam("draft")).values(ended_at=bindparam("now"))
_BRING_BACK = (
    update(SkipRow).where(SkipRow.id == bindparam("skip")).values(ended_at=bindparam("now"), ended_by=bindparam("name"))
)


class Annotations(Database):
    """The labels of the study. Only labels tagged `final` count as annotated; other labels are kept only."""

    def keep_label(self, new: NewAnnotation) -> tuple[Annotation, RecordsByFile]:
        """Keep a label as the current one of its image and tag, and end the leases that it answers, in one step.

        A final annotation ends the annotator's lease on this image, and every other lease whose slices it covers
        completely. It also ends the annotator's open draft if it covers all slices of the draft. A final annotation of
        the whole volume brings back a case that was set aside: the case could be annotated after all.

        The annotation belongs to the newest query that the annotator was given for this image and has not answered yet,
        even if it has expired; else to the oldest of the other leases that it ended; else to no query, and `seconds`
        is None.

        Returns:
            The annotation, and the records of all labels of the image as of then.

        Raises:
            NotFoundError: the image was never registered.
            InvalidInputError: the tag or annotator is empty or too long, or `slices` is invalid.
            LabelChangedError: the current label is not the version in `merged_with`, or a reviewer has returned it or
                approved it after all since: merge again; or the other reader's newest label is not the one `beside` it:
                compare again; or the slices of the image are counted along another axis.
        """
        checked_word(new.tag, "label tag")
        checked_name(new.annotator, "annotator")
        given = checked_slices(new.slices)
        now = self._clock()
        with self._writing() as session:
            connection, case = session.connection(), CaseRows.read(session, new.image_id)
            before = case.history(now)
            _check_unchanged(before, new)
            if new.sliced is not None:
                fix_with_label(session, case.image, new.sliced)
            covered = None if given is not None and len(given) == case.image.slice_count else given
            answers = new.tag in (FINAL, SECOND)
            answered = _answered(case, new.annotator, covered) if answers else []
            end_read_leases(connection, (lease for lease in answered if lease.ended_at is None), now)
            number = (case.newest_round or begin_round(session, None, now)).number
            values = _new_values(new, case, covered, number, answered[0] if answered else None, now)
            row = add_label(connection, case.labels, values)
            if answers:
                _end_drafts(connection, case, row, new.finishes)
            if new.tag == FINAL:
                _end_set_aside(connection, case, row)
            if new.unsynced is not None:
                keep_content(connection, new.file, new.unsynced)
            labels = [*case.labels, row]
            if new.shown_as is not None and _is_shown_as(before, row, new.shown_as):
                labels.append(add_label(connection, labels, copied(row, new.shown_as)))
            after = replace(case, labels=labels)
            if new.compared is not None:
                record_reading(session, session.get_one(AnnotationRow, row.id), new.compared, now)
                after = CaseRows.read(session, new.image_id)
            return record_of(row, Annotation), records_of(session, after)

    def current_annotation(self, image_id: str, tag: str = FINAL) -> Annotation | None:
        """The newest label of this image and tag; None if there is none or it was deleted."""
        with self._reading() as session:
            row = current_row(session, image_id, tag)
            return None if row is None else record_of(row, Annotation)

    def slices_learnt(self, model_version: int) -> set[tuple[str, int]]:
        """Image and index of each slice of partial labels that a model learned from and that is still annotated."""
        partial = select(AnnotationRow.image_id, AnnotationRow.slices).where(AnnotationRow.slices.is_not(null()))
        used = select(ModelAnnotationRow.annotation_id).where(ModelAnnotationRow.model_version == model_version)
        with self._reading() as session:
            learned, annotated = (
                session.execute(partial.where(which)).tuples().all()
                for which in (AnnotationRow.id.in_(used), counting())
            )
        return _single_slices(learned) & _single_slices(annotated)

    def annotations(self, role: Role | None = None, round_number: int | None = None) -> list[Annotation]:
        """The current final annotations by image, partial ones included; of one role or round if given.

        Here and in the other lists of many images `sent_otherwise` is left out.
        """
        statement = _of_role(_LISTED.where(current_final()), role)
        if round_number is not None:
            statement = statement.where(AnnotationRow.round_number == round_number)
        with self._reading() as session:
            return _listed(session, statement)

    def labels_to_learn(self, role: Role | None = None) -> list[Annotation]:
        """The final annotations by image from which a training may learn (`pool.learnable`); of one role if given."""
        statement = _of_role(_LISTED.where(learnable(self.only_approved)), role)
        with self._reading() as session:
            return _listed(session, statement)

    def current_labels(self) -> list[Annotation]:
        """The newest label of every image and tag unless it was deleted, sorted by image and tag."""
        statement = _LISTED.where(current()).order_by(AnnotationRow.image_id, AnnotationRow.tag)
        with self._reading() as session:
            return _listed(session, statement)

    def history(self, image_id: str) -> list[Annotation]:
        """Every label that this image ever had, of all tags, superseded and deleted ones included, oldest first."""
        statement = select(AnnotationRow).where(AnnotationRow.image_id == image_id).order_by(AnnotationRow.id)
        with self._reading() as session:
            return [record_of(row, Annotation) for row in session.scalars(statement)]

    def delete_annotation(self, image_id: str, tag: str = FINAL) -> Annotation:
        """Take back the current label of this image and tag; older ones stay superseded. The image may be asked again.

        Of two readings of which one is taken back, nothing is compared any more.

        Raises:
            NotFoundError: there is no such label.
        """
        with self._writing() as session:
            row = current_row(session, image_id, tag)
            if row is None:
                raise NotFoundError(f"image '{image_id}': has no label tagged '{tag}' to delete")
            now = row.deleted_at = self._clock()
            if tag in (FINAL, SECOND):
                end_comparison(session, image_id, now)
            return record_of(row, Annotation)


def _listed(session: Session, statement: Select[AnnotationRow]) -> list[Annotation]:
    return [record_of(row, Annotation, sent_otherwise=None) for row in session.scalars(statement)]


def _of_role(statement: Select[AnnotationRow], role: Role | None) -> Select[AnnotationRow]:
    """The annotations of images of a role, sorted by image."""
    if role is not None:
        statement = statement.join(ImageRow, ImageRow.id == AnnotationRow.image_id).where(ImageRow.role == role)
    return statement.order_by(AnnotationRow.image_id)


def _single_slices(rows: Iterable[tuple[str, list[int] | None]]) -> set[tuple[str, int]]:
    return {(image_id, index) for image_id, slices in rows for index in slices or ()}


def _check_unchanged(case: CaseHistory, new: NewAnnotation) -> None:
    """Raise LabelChangedError if the case is not as it was when somebody decided what to keep."""
    current = case.current(new.tag)
    if new.merged_with is not None and new.merged_with != (current.version if current else 0):
        raise LabelChangedError(
            f"image '{new.image_id}': its label '{new.tag}' has changed since version {new.merged_with}"
        )
    if new.merged_with and current and case.is_decided(current, Verdict.RETURNED) != new.onto_returned:
        raise LabelChangedError(f"image '{new.image_id}': a reviewer has decided about its label '{new.tag}' since")
    beside = new.compared.other_id if new.beside is None and new.compared is not None else new.beside
    other = case.other_reading(new.annotator, new.tag)
    if beside is not None and beside != (0 if other is None else other.id):
        raise LabelChangedError(f"image '{new.image_id}': its other reading has changed since it was compared")
    is_decision = beside is None and new.merged_with is None
    if new.tag == FINAL and not is_decision and case.is_kept_beside(new.annotator):
        raise LabelChangedError(f"image '{new.image_id}': a reviewer has decided between its readings")


def _new_values(
    new: NewAnnotation,
    case: CaseRows,
    covered: Slices,
    round_number: int,
    query: SimpleNamespace | None,
    now: datetime,
) -> dict[str, Any]:
    image = case.image
    return {
        "image_id": new.image_id,
        "tag": new.tag,
        "file": new.file,
        "sha256": new.sha256,
        "slices": covered and list(covered),
        "covered_slices": image.slice_count if covered is None else len(covered),
        "foreground_slices": new.foreground_slices,
        "annotator": new.annotator,
        "seconds": None if query is None else (now - query.granted_at).total_seconds(),
        "lease_id": None if query is None else query.id,
        "round_number": round_number,
        "created_at": now,
        "unchanged_from": new.unchanged_from,
        "label_names": new.label_names and list(new.label_names),
        "image_sha256": image.content_sha256,
        **stamp_columns(new.file_stamp),
        "sent_otherwise": _by_text(new.sent_otherwise),
        "coverage": None if new.coverage is None else new.coverage.value,
        "active_seconds": None if query is None else active_seconds_since_label(query, case.queries, case.labels),
    }


def _by_text(digests: Mapping[int, str] | None) -> dict[str, str] | None:
    if digests is None:
        return None
    return {"format": DIGEST_FORMAT, **{str(index): digest for index, digest in digests.items()}}


def _is_shown_as(before: CaseHistory, row: SimpleNamespace, tag: str) -> bool:
    """Whether a new label also becomes the current label under `tag`, which clients open with the image."""
    return row.slices is not None or before.shows(tag, row.tag) or before.shows_draft(tag)


def _answered(case: CaseRows, annotator: str, covered: Slices) -> Sequence[SimpleNamespace]:
    """The leases that a final annotation answers; the annotation belongs to the first."""
    answered = {label.lease_id for label in case.labels}
    unanswered = (lease for lease in case.queries if lease.annotator == annotator and lease.id not in answered)
    own = list(unanswered)[-1:]
    others = (lease for lease in case.queries if lease.ended_at is None and lease not in own)
    return [*own, *(lease for lease in others if _covers(covered, lease.slices))]


def _covers(covered: Slices, leased: list[int] | None) -> bool:
    return covered is None or (leased is not None and set(covered).issuperset(leased))


def _end_drafts(connection: Connection, case: CaseRows, row: SimpleNamespace, finishes: int | None) -> None:
    """End the drafts that a final label finishes."""
    covered = None if row.slices is None else tuple(row.slices)
    for draft in case.drafts:
        is_own = draft.annotator == row.annotator and draft.ended_at is None
        if draft.ended_at is None and (draft.id == finishes or (is_own and _covers(covered, draft.slices))):
            draft.ended_at = row.created_at
            connection.execute(_END_DRAFT, {"draft": draft.id, "now": draft.ended_at})


def _end_set_aside(connection: Connection, case: CaseRows, row: SimpleNamespace) -> None:
    for skip in case.set_aside if row.slices is None else ():
        connection.execute(_BRING_BACK, {"skip": skip.id, "now": row.created_at, "name": row.annotator})
