"""Claims: which worker does which piece of the work, and until when; no piece is ever held by two.

A worker claims an image to score or to prepare, or a whole job such as a training. It beats a heart while it works, and
what it does not extend expires: another worker may claim it, and the first one can no longer write its result.

On PostgreSQL workers claim at the same time: each locks the images that it looks at and skips those that others have
locked (`FOR NO KEY UPDATE SKIP LOCKED`). On SQLite one transaction writes at a time.

A claim comes with every few images of every worker, so its statements are built once, and each answers for all images
that it is about.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Select,
    and_,
    bindparam,
    delete,
    func,
    insert,
    select,
    union_all,
    update,
)
from sqlalchemy.orm import Session

from activelabel.names import ScoreKind
from activelabel.store.checks import checked_name
from activelabel.store.columns import UtcDateTime
from activelabel.store.pool import complete, set_aside
from activelabel.store.records.work import WHOLE_JOB, Claim, WorkKind
from activelabel.store.schema.images import ImageRow
from activelabel.store.schema.labels import AnnotationRow
from activelabel.store.schema.models import ScoreRow
from activelabel.store.schema.queries import SkipRow
from activelabel.store.schema.work import WorkClaimRow
from activelabel.store.work.left_to_score import OF_KIND, TO_SCORE, LeftToScore, values_of

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
        """The values of the statements below that tell this job from others."""
        return {"kind": self.kind, **values_of(self.model_version, self.scored or ScoreKind(""))}


_ITEMS: BindParameter[str] = bindparam("items", expanding=True)
_NOW = bindparam("now", type_=UtcDateTime)
_OF_JOB = and_(WorkClaimRow.kind == bindparam("kind"), WorkClaimRow.model_version == bindparam("model"))
_HOLDS = and_(_OF_JOB, WorkClaimRow.expires_at > _NOW)
_TO_PREPARE = and_(ImageRow.present.is_(True), ImageRow.unreadable_reason.is_(None), ImageRow.content_sha256.is_(None))

_ANY_HELD = select(select(WorkClaimRow).where(_HOLDS).exists())
_ALL_HELD = select(WorkClaimRow.item).where(_HOLDS)
_HELD = select(WorkClaimRow.item).where(_HOLDS, WorkClaimRow.item.in_(_ITEMS))
_DONE = (
    select(ScoreRow.image_id).where(OF_KIND, ScoreRow.image_id.in_(_ITEMS)),
    select(AnnotationRow.image_id).where(AnnotationRow.image_id.in_(_ITEMS), complete()),
    select(SkipRow.image_id).where(SkipRow.image_id.in_(_ITEMS), set_aside()),
)
_DONE_OR_HELD = union_all(*_DONE, _HELD)
_DONE_ALONE = union_all(*_DONE)


def _page(wanted: ColumnElement[bool]) -> Select[str]:
    """The next images by id, scored or not."""
    statement = select(ImageRow.id).where(wanted, ImageRow.id > bindparam("after"))
    return statement.order_by(ImageRow.id).limit(bindparam("size"))


# A page is cut off before scores and claims are looked for: without statistics PostgreSQL would do that for all images.
_TO_SCORE_NEXT, _TO_PREPARE_NEXT = _page(TO_SCORE).subquery("next"), _page(_TO_PREPARE).subquery("next")
_WITH_SCORE = select(ScoreRow.image_id).where(ScoreRow.image_id == _TO_SCORE_NEXT.c.id, OF_KIND)
_NEXT_TO_SCORE = select(_TO_SCORE_NEXT.c.id).where(~_WITH_SCORE.exists()).order_by(_TO_SCORE_NEXT.c.id)
_NEXT_TO_PREPARE = select(_TO_PREPARE_NEXT.c.id).order_by(_TO_PREPARE_NEXT.c.id)
_END_TO_SCORE = select(func.max(_TO_SCORE_NEXT.c.id), func.count()).select_from(_TO_SCORE_NEXT)
_END_TO_PREPARE = select(func.max(_TO_PREPARE_NEXT.c.id), func.count()).select_from(_TO_PREPARE_NEXT)


def _not_held(statement: Select[str]) -> Select[str]:
    (image_id,) = statement.selected_columns
    return statement.where(~select(WorkClaimRow.item).where(_HOLDS, WorkClaimRow.item == image_id).exists())


_FREE_TO_SCORE, _FREE_TO_PREPARE = _not_held(_NEXT_TO_SCORE), _not_held(_NEXT_TO_PREPARE)


def _among(wanted: ColumnElement[bool]) -> Select[str]:
    return select(ImageRow.id).where(wanted, ImageRow.id.in_(_ITEMS)).order_by(ImageRow.id)


_AMONG_TO_SCORE, _AMONG_TO_PREPARE = _among(TO_SCORE), _among(_TO_PREPARE)
# `key_share`: who writes a score of the image, which refers to it, need not wait.
_LOCKED_TO_SCORE = _AMONG_TO_SCORE.with_for_update(skip_locked=True, key_share=True)
_LOCKED_TO_PREPARE = _AMONG_TO_PREPARE.with_for_update(skip_locked=True, key_share=True)

_END_EXPIRED = delete(WorkClaimRow).where(_OF_JOB, WorkClaimRow.item.in_(_ITEMS), WorkClaimRow.expires_at <= _NOW)
_END_OWN = delete(WorkClaimRow).where(_OF_JOB, WorkClaimRow.item.in_(_ITEMS), WorkClaimRow.worker == bindparam("name"))
_LIVE = and_(WorkClaimRow.worker == bindparam("name"), WorkClaimRow.expires_at > _NOW)
_LOCKED_LIVE = (
    select(WorkClaimRow.kind, WorkClaimRow.model_version, WorkClaimRow.item, WorkClaimRow.worker)
    .where(_LIVE)
    .order_by(WorkClaimRow.item)
    .with_for_update()
)
_EXTEND = update(WorkClaimRow).where(_LIVE).values(expires_at=bindparam("until", type_=UtcDateTime))
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
            rows = session.execute(_LOCKED_LIVE, {"name": worker, "now": now}).all()
            if rows:
                until = {"name": worker, "now": now, "until": now + timedelta(seconds=seconds)}
                session.execute(_EXTEND, until, execution_options=_QUIETLY)
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
            if session.scalar(_ANY_HELD, {**job.values, "now": self._shared_now(session)}):
                return True
        return bool(self._find(job, "", _AT_FIRST, claimed_too=True))

    def _find(self, job: Job, after: str, size: int, claimed_too: bool = False) -> list[str]:
        """Some of the first images after `after` that may be claimed; empty if there is none. Nothing is locked."""
        if job.scored is None:
            page, end = _NEXT_TO_PREPARE if claimed_too else _FREE_TO_PREPARE, _END_TO_PREPARE
        else:
            page, end = _NEXT_TO_SCORE if claimed_too else _FREE_TO_SCORE, _END_TO_SCORE
        some, counted = size, False
        with self._reading() as session:
            now = self._shared_now(session)
            while True:
                values = {**job.values, "after": after, "size": size, "now": now}
                ids = session.scalars(page, values).all()
                for start in range(0, len(ids), some):
                    if free := _left(session, job, ids[start : start + some], None):
                        return free
                last, count = session.execute(end, values).one()
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
            held = session.scalars(_ALL_HELD, {**job.values, "now": now}).all()
            left -= len(_left(session, job, session.scalars(_AMONG_TO_SCORE, {"items": held}).all(), None))
        return left <= 0

    def _claim_some(self, job: Job, ids: Sequence[str], worker: str, seconds: float, limit: int) -> list[str]:
        """Claim up to `limit` of these images that are still left and that nobody else looks at."""
        with self._beside_writers() as session:
            seen = session.scalars(_among_of(job, lock=self.file is None), {"items": ids}).all()
            now = self._shared_now(session)
            wanted = _left(session, job, seen, now)[:limit]
            if not wanted:
                return []
            ours = {"kind": job.kind, "model": job.model_version}
            session.execute(_END_EXPIRED, {**ours, "items": wanted, "now": now}, execution_options=_QUIETLY)
            values = [_values(job.kind, job.model_version, one, worker, now, seconds) for one in wanted]
            session.execute(insert(WorkClaimRow), values)
            if self.file is not None:
                return wanted
            # The deletion may have waited for an earlier holder who was about to write: what is done now is let go.
            still = set(_left(session, job, wanted, None))
            done = [one for one in wanted if one not in still]
            if done:
                session.execute(_END_OWN, {**ours, "items": done, "name": worker}, execution_options=_QUIETLY)
            return [one for one in wanted if one in still]


def _among_of(job: Job, *, lock: bool) -> Select[str]:
    """The statement that reads which of some images a job is for, in a transaction that claims some."""
    if job.scored is None:
        return _LOCKED_TO_PREPARE if lock else _AMONG_TO_PREPARE
    return _LOCKED_TO_SCORE if lock else _AMONG_TO_SCORE


def _left(session: Session, job: Job, ids: Sequence[str], now: datetime | None) -> list[str]:
    """Those of the images that the job has not done, and that nobody holds at `now` if it is given."""
    if not ids or (job.scored is None and now is None):
        return list(ids)
    values: Mapping[str, object] = {**job.values, "items": ids, "now": now}
    if job.scored is None:
        taken = set(session.scalars(_HELD, values))
    else:
        taken = set(session.scalars(_DONE_ALONE if now is None else _DONE_OR_HELD, values))
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
