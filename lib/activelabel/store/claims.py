"""Claims: which worker does which piece of the work, and until when; no piece is ever held by two.

A worker claims an image to score or to prepare, or a whole job such as a training. It beats a heart while it works, and
what it does not extend expires: another worker may claim it, and the first one can no longer write its result.

On PostgreSQL workers claim at the same time: each locks the images that it looks at and skips those that others have
locked (`FOR NO KEY UPDATE SKIP LOCKED`). On SQLite one transaction writes at a time.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, insert, select
from sqlalchemy.orm import Session

from activelabel.names import ScoreKind
from activelabel.store.checks import checked_name
from activelabel.store.claim_rows import claims_of
from activelabel.store.database import Database
from activelabel.store.models.scores import of_kind
from activelabel.store.pool import complete, set_aside
from activelabel.store.records.work import WHOLE_JOB, Claim, WorkKind
from activelabel.store.schema.images import ImageRow
from activelabel.store.schema.labels import AnnotationRow
from activelabel.store.schema.models import ScoreRow
from activelabel.store.schema.queries import SkipRow
from activelabel.store.schema.work import WorkClaimRow

_AT_FIRST, _AT_MOST = 64, 4096
"""How many images are read at a time to find those that may be claimed: more, the longer none is found."""


@dataclass(frozen=True)
class Job:
    """Work on many images, one at a time: what is done with each of them, and what says that it is done.

    `scored` is the score that an image has when a model has scored it; None for images to prepare, which are done when
    their content is recorded.
    """

    kind: WorkKind
    model_version: int = 0
    scored: ScoreKind | None = None

    def claims(self, items: Sequence[str]) -> ColumnElement[bool]:
        """The claims of this job for these images, as an SQL condition."""
        return claims_of(self.kind, self.model_version, items)

    def claims_at(self, now: datetime) -> ColumnElement[bool]:
        """All claims of this job that hold at a time, as an SQL condition."""
        mine = and_(WorkClaimRow.kind == self.kind, WorkClaimRow.model_version == self.model_version)
        return and_(mine, WorkClaimRow.expires_at > now)


class Claims(Database):
    """The claims of all workers."""

    def claim_images(self, job: Job, worker: str, seconds: float, limit: int = 1, after: str = "") -> list[str]:
        """Claim up to `limit` images that are left, with ids after `after`, in the order of their ids.

        An image is left if it is a present, readable and not fully annotated image for training, the job has not done
        it, and no worker holds it. The result is empty if there is none.

        Raises:
            InvalidInputError: the worker's name is empty or too long.
            ValueError: `seconds` is not positive.
        """
        checked_name(worker, "worker")
        _check_seconds(seconds)
        step = 4 * limit
        while free := self._find(job, after):
            for start in range(0, len(free), step):
                claimed = self._claim_some(job, free[start : start + step], worker, seconds, limit)
                if claimed:
                    return claimed
            after = free[-1]
        return []

    def claim_job(self, kind: WorkKind, worker: str, seconds: float, model_version: int = 0) -> bool:
        """Claim a whole job; whether this worker holds it now. It may hold it already."""
        checked_name(worker, "worker")
        _check_seconds(seconds)
        with self._writing() as session:
            now = self._shared_now(session)
            row = session.get(WorkClaimRow, (kind, model_version, WHOLE_JOB))
            if row is not None and row.worker != worker and row.expires_at > now:
                return False
            if row is not None:
                session.delete(row)
                session.flush()
            session.add(_row(kind, model_version, WHOLE_JOB, worker, now, seconds))
            return True

    def extend_claims(self, worker: str, seconds: float) -> set[Claim]:
        """Extend the claims of a worker that have not expired, and return them. Those that expired are lost for good.

        Raises:
            ValueError: `seconds` is not positive.
        """
        _check_seconds(seconds)
        with self._beside_writers() as session:
            now = self._shared_now(session)
            live = and_(WorkClaimRow.worker == worker, WorkClaimRow.expires_at > now)
            rows = session.scalars(select(WorkClaimRow).where(live).order_by(WorkClaimRow.item).with_for_update()).all()
            for row in rows:
                row.expires_at = now + timedelta(seconds=seconds)
            return {_record(row) for row in rows}

    def release_claims(self, worker: str, items: Collection[str] | None = None) -> None:
        """Give back what a worker holds, or only these images, so that others can claim it at once."""
        mine = delete(WorkClaimRow).where(WorkClaimRow.worker == worker)
        with self._beside_writers() as session:
            session.execute(mine if items is None else mine.where(WorkClaimRow.item.in_(sorted(items))))

    def claims(self, kind: WorkKind | None = None) -> list[Claim]:
        """The claims that have not expired, of one kind or of all, by model version and item."""
        order = (WorkClaimRow.kind, WorkClaimRow.model_version, WorkClaimRow.item)
        with self._reading() as session:
            live = select(WorkClaimRow).where(WorkClaimRow.expires_at > self._shared_now(session)).order_by(*order)
            rows = session.scalars(live if kind is None else live.where(WorkClaimRow.kind == kind))
            return [_record(row) for row in rows]

    def is_left(self, job: Job) -> bool:
        """Whether an image of a job is left, claimed or not."""
        with self._reading() as session:
            held = job.claims_at(self._shared_now(session))
            if session.scalar(select(select(WorkClaimRow).where(held).exists())):
                return True
        return bool(self._find(job, "", claimed_too=True))

    def _find(self, job: Job, after: str, claimed_too: bool = False) -> list[str]:
        """The first images after `after` that may be claimed, at most a few thousand; nothing is locked."""
        size = _AT_FIRST
        with self._reading() as session:
            now = self._shared_now(session)
            while True:
                page = select(ImageRow.id).where(_wanted(job), ImageRow.id > after).order_by(ImageRow.id).limit(size)
                if job.scored is not None:
                    scored = (ScoreRow.image_id == ImageRow.id, of_kind(job.model_version, job.scored))
                    page = page.where(~select(ScoreRow.image_id).where(*scored).exists())
                ids = session.scalars(page).all()
                free = _left(session, job, ids, None if claimed_too else now)
                if free or len(ids) < size:
                    return free
                after, size = ids[-1], min(2 * size, _AT_MOST)

    def _claim_some(self, job: Job, ids: Sequence[str], worker: str, seconds: float, limit: int) -> list[str]:
        """Claim up to `limit` of these images that are still left and that nobody else looks at."""
        with self._beside_writers() as session:
            rows = select(ImageRow.id).where(_wanted(job), ImageRow.id.in_(ids)).order_by(ImageRow.id)
            # `key_share`: who writes a score of the image, which refers to it, need not wait.
            locked = rows.with_for_update(skip_locked=True, key_share=True)
            seen = session.scalars(locked if self.file is None else rows).all()
            now = self._shared_now(session)
            wanted = _left(session, job, seen, now)[:limit]
            if not wanted:
                return []
            session.execute(delete(WorkClaimRow).where(job.claims(wanted), WorkClaimRow.expires_at <= now))
            values = [_values(job.kind, job.model_version, one, worker, now, seconds) for one in wanted]
            session.execute(insert(WorkClaimRow), values)
            # The deletion may have waited for an earlier holder who was about to write: what is done now is let go.
            still = set(_left(session, job, wanted, None))
            done = [one for one in wanted if one not in still]
            if done:
                session.execute(delete(WorkClaimRow).where(job.claims(done), WorkClaimRow.worker == worker))
            return [one for one in wanted if one in still]


def _wanted(job: Job) -> ColumnElement[bool]:
    usable = and_(ImageRow.present.is_(True), ImageRow.unreadable_reason.is_(None))
    if job.scored is None:
        return and_(usable, ImageRow.content_sha256.is_(None))
    return and_(usable, ImageRow.role == "training")


def _left(session: Session, job: Job, ids: Sequence[str], now: datetime | None) -> list[str]:
    """Those of the images that the job has not done, and that nobody holds at `now` if it is given."""
    if not ids:
        return []
    taken = set[str]()
    if job.scored is not None:
        scored = select(ScoreRow.image_id).where(of_kind(job.model_version, job.scored), ScoreRow.image_id.in_(ids))
        annotated = select(AnnotationRow.image_id).where(AnnotationRow.image_id.in_(ids), complete())
        aside = select(SkipRow.image_id).where(SkipRow.image_id.in_(ids), set_aside())
        for statement in (scored, annotated, aside):
            taken.update(session.scalars(statement))
    if now is not None:
        held = select(WorkClaimRow.item).where(job.claims(ids), WorkClaimRow.expires_at > now)
        taken.update(session.scalars(held))
    return [image_id for image_id in ids if image_id not in taken]


def _values(
    kind: WorkKind, model_version: int, item: str, worker: str, now: datetime, seconds: float
) -> dict[str, object]:
    return {
        "kind": kind,
        "model_version": model_version,
        "item": item,
        "worker": worker,
        "claimed_at": now,
        "expires_at": now + timedelta(seconds=seconds),
    }


def _row(kind: WorkKind, model_version: int, item: str, worker: str, now: datetime, seconds: float) -> WorkClaimRow:
    return WorkClaimRow(**_values(kind, model_version, item, worker, now, seconds))


def _record(row: WorkClaimRow) -> Claim:
    return Claim(row.kind, row.model_version, row.item, row.worker)


def _check_seconds(seconds: float) -> None:
    if not seconds > 0:
        raise ValueError(f"seconds of a claim: expected > 0, got {seconds}")
