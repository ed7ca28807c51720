"""Claims: which worker does which piece of the work, and until when; no piece is ever held by two.

A worker claims an image to score or to prepare, or a whole job such as a training. It beats a heart while it works, and
what it does not extend expires: another worker may claim it, and the first one can no longer write its result.

On PostgreSQL workers claim at the same time: each locks the images that it looks at and skips those that others have
locked (`FOR NO KEY UPDATE SKIP LOCKED`). On SQLite one transaction writes at a time.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from activelabel.names import ScoreKind
from activelabel.store.checks import checked_name
from activelabel.store.records.work import WHOLE_JOB, Claim, WorkKind
from activelabel.store.schema.work import WorkClaimRow
from activelabel.store.work.claim_statements import (
    ALL_HELD,
    ANY_HELD,
    COUNT_TO_PREPARE,
    END_EXPIRED,
    END_OWN,
    EXTEND,
    HELD,
    LOCKED_LIVE,
    NEED_NO_SCORE,
    NEED_NO_SCORE_OR_HELD,
    PREPARING,
    SCORING,
    TO_PREPARE,
    ImageStatements,
)
from activelabel.store.work.left_to_score import LeftToScore, values_of

_AT_FIRST, _AT_MOST = 32, 4096
"""How many images are read at a time to find those that may be claimed: more, the longer none is found."""
_LOOKED_AT = 2
"""How many images are locked for each that is to be claimed, as others may have taken some meanwhile."""


@dataclass(frozen=True)
class Job:
    """Work on many images, one at a time: what is done with each of them, and what says that it is done.

    `scored` is the score that an image has when a model has scored it; None for images to prepare, which are done when
    their content is recorded.
    """

    kind: WorkKind
    model_version: int = 0
    scored: ScoreKind | None = None

    @property
    def values(self) -> dict[str, object]:
        """The parameters of statements that tell this job from others."""
        return {"kind": self.kind, **values_of(self.model_version, self.scored or ScoreKind(""))}

    @property
    def statements(self) -> ImageStatements:
        """The statements that find its images."""
        return PREPARING if self.scored is None else SCORING


_QUIETLY = {"synchronize_session": False}


class Claims(LeftToScore):
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
        step = _LOOKED_AT * limit
        while free := self._find(job, after, max(_AT_FIRST, step)):
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
            rows = session.execute(LOCKED_LIVE, {"name": worker, "now": now}).all()
            if rows:
                until = {"name": worker, "now": now, "until": now + timedelta(seconds=seconds)}
                session.execute(EXTEND, until, execution_options=_QUIETLY)
            return {Claim(*row) for row in rows}

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
            if session.scalar(ANY_HELD, {**job.values, "now": self._shared_now(session)}):
                return True
        return bool(self._find(job, "", _AT_FIRST, claimed_too=True))

    def to_prepare(self) -> list[str]:
        """The images that are usable and that nobody has read, claimed or not, by id."""
        with self._reading() as session:
            return list(session.scalars(TO_PREPARE))

    def count_to_prepare(self) -> int:
        """The number of images that `to_prepare` lists, without reading those that somebody has read."""
        with self._reading() as session:
            return session.scalar(COUNT_TO_PREPARE) or 0

    def _find(self, job: Job, after: str, size: int, claimed_too: bool = False) -> list[str]:
        """Some of the first images after `after` that may be claimed; empty if there is none. Nothing is locked."""
        page = job.statements.next if claimed_too else job.statements.free
        some, counted = size, False
        with self._reading() as session:
            now = self._shared_now(session)
            while True:
                values = {**job.values, "after": after, "size": size, "now": now}
                ids = session.scalars(page, values).all()
                for start in range(0, len(ids), some):
                    if free := _left(session, job, ids[start : start + some], None):
                        return free
                last, count = session.execute(job.statements.end, values).one()
                if count < size:
                    return []
                if not counted and self._none_is(session, job, now, claimed_too):
                    return []
                counted = True
                after, size = last, min(2 * size, _AT_MOST)

    def _none_is(self, session: Session, job: Job, now: datetime, claimed_too: bool) -> bool:
        """Whether no image can be found, by what is counted, so that a million images are not read to see that.

        As long as somebody holds an image that is left, that is one of those left. Unknown of images to prepare.
        """
        if job.scored is None:
            return False
        left = self._count_unscored(session, job.values)
        if left and not claimed_too:
            held = session.scalars(ALL_HELD, {**job.values, "now": now}).all()
            left -= len(_left(session, job, session.scalars(job.statements.among, {"items": held}).all(), None))
        return left <= 0

    def _claim_some(self, job: Job, ids: Sequence[str], worker: str, seconds: float, limit: int) -> list[str]:
        """Claim up to `limit` of these images that are still left and that nobody else looks at."""
        with self._beside_writers() as session:
            images = job.statements.locked if self.file is None else job.statements.among
            seen = session.scalars(images, {"items": ids}).all()
            now = self._shared_now(session)
            wanted = _left(session, job, seen, now)[:limit]
            if not wanted:
                return []
            ours = {"kind": job.kind, "model": job.model_version}
            session.execute(END_EXPIRED, {**ours, "items": wanted, "now": now}, execution_options=_QUIETLY)
            values = [_values(job.kind, job.model_version, one, worker, now, seconds) for one in wanted]
            session.execute(insert(WorkClaimRow), values)
            if self.file is not None:
                return wanted
            # The deletion may have waited for an earlier holder who was about to write: what is done now is let go.
            still = set(_left(session, job, wanted, None))
            done = [one for one in wanted if one not in still]
            if done:
                session.execute(END_OWN, {**ours, "items": done, "name": worker}, execution_options=_QUIETLY)
            return [one for one in wanted if one in still]


def _left(session: Session, job: Job, ids: Sequence[str], now: datetime | None) -> list[str]:
    """Those of the images that the job has not done, and that nobody holds at `now` if it is given."""
    if not ids or (job.scored is None and now is None):
        return list(ids)
    values: Mapping[str, object] = {**job.values, "items": ids, "now": now}
    if job.scored is None:
        taken = set(session.scalars(HELD, values))
    else:
        taken = set(session.scalars(NEED_NO_SCORE if now is None else NEED_NO_SCORE_OR_HELD, values))
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
