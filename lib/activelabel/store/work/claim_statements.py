"""The statements by which claims are found, made and extended. Each is built once, and answers for many images.

Their parameters: `kind` and `model` tell one job from others, with those of `left_to_score.values_of` for images to
score; `items` are ids of images; of the images after the id `after`, so many as `size` are looked at; `name` is a
worker, `now` the time, and `until` when a claim is to expire.
"""

from dataclasses import dataclass

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Select,
    Subquery,
    and_,
    bindparam,
    delete,
    func,
    select,
    union_all,
    update,
)

from activelabel.store.columns import UtcDateTime
from activelabel.store.pool import complete, set_aside
from activelabel.store.schema.images import ImageRow
from activelabel.store.schema.labels import AnnotationRow
from activelabel.store.schema.models import ScoreRow
from activelabel.store.schema.queries import SkipRow
from activelabel.store.schema.work import WorkClaimRow
from activelabel.store.work.left_to_score import OF_KIND, TO_SCORE

_ITEMS: BindParameter[str] = bindparam("items", expanding=True)
_NOW = bindparam("now", type_=UtcDateTime)
_OF_JOB = and_(WorkClaimRow.kind == bindparam("kind"), WorkClaimRow.model_version == bindparam("model"))
_HOLDS = and_(_OF_JOB, WorkClaimRow.expires_at > _NOW)
_TO_PREPARE = and_(ImageRow.present.is_(True), ImageRow.unreadable_reason.is_(None), ImageRow.content_sha256.is_(None))
TO_PREPARE = select(ImageRow.id).where(_TO_PREPARE).order_by(ImageRow.id)
COUNT_TO_PREPARE = select(func.count()).select_from(ImageRow).where(_TO_PREPARE)

ANY_HELD = select(select(WorkClaimRow).where(_HOLDS).exists())
"""Whether somebody holds an image of the job."""
ALL_HELD = select(WorkClaimRow.item).where(_HOLDS)
HELD = select(WorkClaimRow.item).where(_HOLDS, WorkClaimRow.item.in_(_ITEMS))
"""Those of some images that somebody holds."""
_NEED_NO_SCORE = (
    select(ScoreRow.image_id).where(OF_KIND, ScoreRow.image_id.in_(_ITEMS)),
    select(AnnotationRow.image_id).where(AnnotationRow.image_id.in_(_ITEMS), complete()),
    select(SkipRow.image_id).where(SkipRow.image_id.in_(_ITEMS), set_aside()),
)
NEED_NO_SCORE = union_all(*_NEED_NO_SCORE)
"""Those of some images that have a score, are fully annotated, or are set aside."""
NEED_NO_SCORE_OR_HELD = union_all(*_NEED_NO_SCORE, HELD)

END_EXPIRED = delete(WorkClaimRow).where(_OF_JOB, WorkClaimRow.item.in_(_ITEMS), WorkClaimRow.expires_at <= _NOW)
END_OWN = delete(WorkClaimRow).where(_OF_JOB, WorkClaimRow.item.in_(_ITEMS), WorkClaimRow.worker == bindparam("name"))
_LIVE = and_(WorkClaimRow.worker == bindparam("name"), WorkClaimRow.expires_at > _NOW)
LOCKED_LIVE = (
    select(WorkClaimRow.kind, WorkClaimRow.model_version, WorkClaimRow.item, WorkClaimRow.worker)
    .where(_LIVE)
    .order_by(WorkClaimRow.item)
    .with_for_update()
)
"""The claims of a worker that have not expired."""
EXTEND = update(WorkClaimRow).where(_LIVE).values(expires_at=bindparam("until", type_=UtcDateTime))


@dataclass(frozen=True)
class ImageStatements:
    """The statements that find images for one kind of job, in the order of their ids.

    Attributes:
        next: the images to work on, held or not, among the next `size`.
        free: those of `next` that nobody holds.
        end: the last id among the next `size`, NULL if there is none, and how many these are.
        among: which of some images such a job is for, done or not.
        locked: `among`, in a transaction that claims some: the images stay locked, without those that others lock.
    """

    next: Select[str]
    free: Select[str]
    end: Select[str, int]
    among: Select[str]
    locked: Select[str]


def _page(wanted: ColumnElement[bool]) -> Subquery:
    """The next images by id, done or not.

    It is cut off before scores and claims are looked for: without statistics PostgreSQL would do that for all images.
    """
    statement = select(ImageRow.id).where(wanted, ImageRow.id > bindparam("after"))
    return statement.order_by(ImageRow.id).limit(bindparam("size")).subquery("next")


def _statements(wanted: ColumnElement[bool], page: Subquery, *not_done: ColumnElement[bool]) -> ImageStatements:
    image_id = page.c.id
    held = select(WorkClaimRow.item).where(_HOLDS, WorkClaimRow.item == image_id)
    to_do = select(image_id).where(*not_done).order_by(image_id)
    among = select(ImageRow.id).where(wanted, ImageRow.id.in_(_ITEMS)).order_by(ImageRow.id)
    return ImageStatements(
        next=to_do,
        free=to_do.where(~held.exists()),
        end=select(func.max(image_id), func.count()).select_from(page),
        among=among,
        # `key_share`: who writes a score of the image, which refers to it, need not wait.
        locked=among.with_for_update(skip_locked=True, key_share=True),
    )


_SCORE_PAGE = _page(TO_SCORE)
_HAS_SCORE = select(ScoreRow.image_id).where(ScoreRow.image_id == _SCORE_PAGE.c.id, OF_KIND).exists()
SCORING = _statements(TO_SCORE, _SCORE_PAGE, ~_HAS_SCORE)
PREPARING = _statements(_TO_PREPARE, _page(_TO_PREPARE))
