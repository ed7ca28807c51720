"""Active time: how long an annotator has worked on a query, as their client says, beside the time since the query.

A client that can tell sends a heartbeat while there is input. What it says is bounded by the time that has passed since
the query, so that no number of heartbeats makes more of an hour than an hour.
"""

from collections.abc import Iterable
from types import SimpleNamespace

from sqlalchemy import func, select

from activelabel.errors import NotReadyError
from activelabel.store.checks import checked_name
from activelabel.store.database import Database
from activelabel.store.lookup import record_of
from activelabel.store.records.labels import FINAL
from activelabel.store.records.queries import Lease
from activelabel.store.schema.labels import AnnotationRow
from activelabel.store.schema.queries import LeaseRow


class ActiveTime(Database):
    """The active seconds of queries, and what a label costs in time."""

    def note_active(self, annotator: str, seconds: float, image_id: str | None = None) -> Lease:
        """Add active seconds to the newest query of an annotator that no label has answered yet, expired or not.

        Args:
            annotator: who was active.
            seconds: for how long since the last such note.
            image_id: the image of the query; by default that of the newest one.

        Raises:
            NotReadyError: there is no such query.
            ValueError: `seconds` is not positive.
        """
        if not seconds > 0:
            raise ValueError(f"active seconds: expected > 0, got {seconds}")
        checked_name(annotator, "annotator")
        now = self._clock()
        answered = select(AnnotationRow.lease_id).where(AnnotationRow.lease_id.is_not(None))
        open_queries = select(LeaseRow).where(LeaseRow.annotator == annotator, LeaseRow.id.not_in(answered))
        if image_id is not None:
            open_queries = open_queries.where(LeaseRow.image_id == image_id)
        with self._writing() as session:
            row = session.scalar(open_queries.order_by(LeaseRow.id.desc()).limit(1))
            if row is None:
                of_image = "" if image_id is None else f" of image '{image_id}'"
                raise NotReadyError(f"{annotator} has no query{of_image} to work on: ask for one")
            passed = (now - row.granted_at).total_seconds()
            row.active_seconds = min((row.active_seconds or 0.0) + seconds, passed)
            return record_of(row, Lease)

    def seconds_a_label(self, *, of_slices: bool) -> float | None:
        """The mean time for a slice, or for a volume, over all answered queries for such; None if there are none.

        The time of a query is the active one where a client has said it, else the time until the label came.
        """
        wanted = LeaseRow.slices.is_not(None) if of_slices else LeaseRow.slices.is_(None)
        times = (
            select(LeaseRow.slices, func.coalesce(AnnotationRow.active_seconds, AnnotationRow.seconds))
            .join(AnnotationRow, AnnotationRow.lease_id == LeaseRow.id)
            .where(wanted, AnnotationRow.tag == FINAL, AnnotationRow.deleted_at.is_(None))
        )
        with self._reading() as session:
            answered = session.execute(times).tuples().all()
        labels = sum(len(slices) if slices is not None else 1 for slices, _ in answered)
        return sum(seconds for _, seconds in answered) / labels if labels else None


def active_seconds_since_label(
    query: SimpleNamespace, queries: Iterable[SimpleNamespace], labels: Iterable[SimpleNamespace]
) -> float | None:
    """The active seconds of a query and of the earlier ones of its annotator and image that no label has answered.

    A draft that is taken up again after a night belongs to two queries. None if no client has said anything.

    Args:
        query: the query that a label is about to answer.
        queries: all queries of its image.
        labels: all labels of its image before.
    """
    answered = {label.lease_id for label in labels}
    own = [one for one in queries if one.annotator == query.annotator and one.id <= query.id]
    last = max((one.id for one in own if one.id in answered and one is not query), default=0)
    said = [one.active_seconds for one in own if one.id > last and one.active_seconds is not None]
    return sum(said) if said else None
