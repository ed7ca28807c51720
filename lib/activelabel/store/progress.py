"""The progress of the study in numbers, as `GET /info/` shows it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, func, not_, null, or_, select
from sqlalchemy.orm import Session

from activelabel.acquisition.effort import AnnotatedQuery, Effort, effort
from activelabel.store.columns import UtcDateTime
from activelabel.store.image_counts import ImageCounting
from activelabel.store.lookup import latest_model_row, model_in_use_row
from activelabel.store.models.scores import ANY_KIND
from activelabel.store.pool import active, counting, current, current_final, learnable, used_to_learn
from activelabel.store.records.images import Role
from activelabel.store.records.labels import FINAL
from activelabel.store.records.models import ModelEffort
from activelabel.store.records.queries import SECOND_READING
from activelabel.store.records.study import Asked, Progress
from activelabel.store.schema.images import ImageRow
from activelabel.store.schema.labels import AnnotationRow
from activelabel.store.schema.models import ModelAnnotationRow, ModelVersionRow, ScoreRow
from activelabel.store.schema.queries import LeaseRow
from activelabel.store.schema.work import ScoredCountRow


def _labels(*columns: Any) -> Select[Any]:
    """Columns of labels and their images: few rows beside all images, from which a query should begin."""
    return select(*columns).select_from(AnnotationRow).join(ImageRow, ImageRow.id == AnnotationRow.image_id)


_HELD = (
    select(LeaseRow.image_id)
    .where(active(bindparam("now", type_=UtcDateTime)), LeaseRow.strategy != SECOND_READING)
    .distinct()
    .subquery()
)
_LEASED = (
    select(func.count())
    .select_from(_HELD)
    .join(ImageRow, ImageRow.id == _HELD.c.image_id)
    .where(ImageRow.present.is_(True))
)
_PRESENT = (
    select(ImageRow.present).where(ImageRow.id == AnnotationRow.image_id).correlate(AnnotationRow).scalar_subquery()
).is_(True)
"""Labels of images that are present, which are looked up one by one.

Of a join PostgreSQL believes that the labels end early among the images, and then reads all of those for a newer label;
a list of the absent ones, if there are several 100,000, it goes through for each label.
"""
_ASKED = select(
    select(func.count()).where(counting(), _PRESENT).scalar_subquery(),
    _LEASED.scalar_subquery(),
    select(ModelVersionRow).where(ModelVersionRow.kind == "task", ModelVersionRow.withdrawn_at.is_(None)).exists(),
)
"""Built once: it is executed whenever somebody asks for a case."""


class Overview(ImageCounting):
    """The counts of the whole study."""

    def progress(self) -> Progress:
        """The current counts, read in one transaction."""
        training, present = ImageRow.role == "training", ImageRow.present.is_(True)
        usable = ImageRow.unreadable_reason.is_(None)
        with self._reading() as session:
            latest = latest_model_row(session)
            version = None if latest is None else latest.version
            in_use = model_in_use_row(session)
            serving = None if in_use is None else in_use.version
            counts = self._image_counts(session)
            seen = select(ModelAnnotationRow.annotation_id).where(ModelAnnotationRow.model_version == version)
            unseen = and_(learnable(self.only_approved), AnnotationRow.id.not_in(seen))
            to_learn = used_to_learn(self.only_approved)
            judges = and_(not_(training), AnnotationRow.slices.is_(null()))
            new = and_(unseen, or_(judges, to_learn), present, usable)
            rows = session.execute(_labels(ImageRow.role, func.count()).where(new).group_by(ImageRow.role))
            by_role: dict[Role, int] = {role: count for role, count in rows}
            whole = AnnotationRow.slices.is_(null())
            sums = (
                func.count().filter(whole),
                func.count().filter(not_(whole)),
                func.sum(AnnotationRow.covered_slices),
                func.sum(AnnotationRow.foreground_slices),
            )
            annotated, partly, covered, drawn = session.execute(select(*sums).where(counting(), _PRESENT)).one()
            new_slices = _new_slices(session, and_(unseen, to_learn, usable), seen)
            return Progress(
                images=counts.images,
                training=counts.training,
                validation=counts.validation,
                annotated=annotated,
                partly_annotated=partly,
                annotated_slices=covered or 0,
                foreground_slices=drawn or 0,
                leased=_leased(session, self._clock()),
                unreadable=counts.unreadable,
                latest_model=version,
                model_in_use=serving,
                scored=0 if serving is None else _scored(session, serving),
                new_annotations=sum(by_role.values()),
                new_training_annotations=by_role.get("training", 0),
                new_training_slices=new_slices,
            )

    def asked_so_far(self) -> Asked:
        """The part of `progress` by which a strategy decides whether a validation case is due."""
        with self._reading() as session:
            labelled, leased, has_model = session.execute(_ASKED, {"now": self._clock()}).one()
            validation = self._image_counts(session).validation
            return Asked(validation=validation, labelled=labelled, leased=leased, has_model=has_model)

    def new_foreground_slices(self) -> int:
        """The number of slices with foreground in the training labels beyond those that the latest model has seen."""
        with self._reading() as session:
            latest = latest_model_row(session)
            version = None if latest is None else latest.version
            seen = select(ModelAnnotationRow.annotation_id).where(ModelAnnotationRow.model_version == version)
            usable = (ImageRow.present.is_(True), ImageRow.role == "training", ImageRow.unreadable_reason.is_(None))
            drawn = (
                select(AnnotationRow.image_id, AnnotationRow.foreground_slices)
                .join(ImageRow, ImageRow.id == AnnotationRow.image_id)
                .where(*usable)
            )
            before = {
                image_id: count or 0 for image_id, count in session.execute(drawn.where(AnnotationRow.id.in_(seen)))
            }
            to_learn = (learnable(self.only_approved), used_to_learn(self.only_approved))
            now = session.execute(drawn.where(*to_learn, AnnotationRow.id.not_in(seen)))
            return sum(max((count or 0) - before.get(image_id, 0), 0) for image_id, count in now)

    def effort(self, patients: Mapping[str, str], tag: str = FINAL) -> Effort:
        """The annotators' effort for the labels that count, or for those of another tag, such as second readings.

        An image whose slices were not counted has 0 slices.

        Slices and units are those of the current labels; a label of a volume counts whole unless its last query was
        for slices. The mean time is over all answered queries whose labels were not deleted: the active time
        where a client has said it, else the time since the query. `patients` maps images to
        patients; an image that is missing in it is a patient of its own.
        """
        whole = and_(AnnotationRow.slices.is_(null()), LeaseRow.slices.is_(null()))
        labels = (
            select(AnnotationRow.image_id, whole, AnnotationRow.covered_slices, AnnotationRow.foreground_slices)
            .outerjoin(LeaseRow, LeaseRow.id == AnnotationRow.lease_id)
            .where(AnnotationRow.tag == tag, current(), _PRESENT)
        )
        active, passed = AnnotationRow.active_seconds, AnnotationRow.seconds
        times = select(func.count(passed), func.count(active), func.avg(func.coalesce(active, passed))).where(
            AnnotationRow.tag == tag, AnnotationRow.deleted_at.is_(None)
        )
        with self._reading() as session:
            queries = [
                AnnotatedQuery(patients.get(image_id, image_id), bool(whole), covered or 0, drawn or 0)
                for image_id, whole, covered, drawn in session.execute(labels)
            ]
            timed, active_count, seconds = session.execute(times).one()
        return replace(effort(queries), timed_queries=timed, active_queries=active_count, seconds_per_query=seconds)

    def unchanged_labels(self) -> dict[Role, int]:
        """The number of labels that count and are an unchanged prediction of a model, by the role of their images."""
        labels = select(ImageRow.role, func.count()).join(AnnotationRow, AnnotationRow.image_id == ImageRow.id)
        statement = labels.where(current_final(), AnnotationRow.unchanged_from.is_not(None)).group_by(ImageRow.role)
        with self._reading() as session:
            counts = dict(session.execute(statement).tuples().all())
        return {"training": counts.get("training", 0), "validation": counts.get("validation", 0)}

    def model_efforts(self) -> dict[int, ModelEffort]:
        """The labels for training and validation of each model version; a model that saw no label is left out.

        Labels without a count of slices add no slices.
        """
        statement = (
            select(
                ModelAnnotationRow.model_version,
                func.count(AnnotationRow.image_id.distinct()),
                func.sum(AnnotationRow.covered_slices),
                func.sum(AnnotationRow.foreground_slices),
            )
            .join(AnnotationRow, AnnotationRow.id == ModelAnnotationRow.annotation_id)
            .group_by(ModelAnnotationRow.model_version)
        )
        with self._reading() as session:
            return {
                version: ModelEffort(volumes, covered or 0, drawn or 0)
                for version, volumes, covered, drawn in session.execute(statement)
            }


def _new_slices(session: Session, new: ColumnElement[bool], seen: Select[int]) -> int:
    """The number of slices that the `new` labels cover and the `seen` labels of the same images do not."""
    columns = (AnnotationRow.image_id, AnnotationRow.slices, AnnotationRow.covered_slices)
    labels = select(*columns).join(ImageRow, ImageRow.id == AnnotationRow.image_id).where(ImageRow.present.is_(True))
    before = {
        image_id: (slices, covered)
        for image_id, slices, covered in session.execute(labels.where(AnnotationRow.id.in_(seen)))
    }
    count = 0
    for image_id, slices, covered in session.execute(labels.where(new)):
        seen_slices, seen_count = before.get(image_id, ([], 0))
        if slices is not None and seen_slices is not None:
            count += len(set(slices).difference(seen_slices))
        else:
            count += max((covered or 0) - (seen_count or 0), 0)
    return count


def _leased(session: Session, now: datetime) -> int:
    """The number of present images that somebody annotates now; those of a second reading are annotated already."""
    return session.scalar(_LEASED, {"now": now}) or 0


def _scored(session: Session, version: int) -> int:
    """The number of present images with a score by a model: those counted, less the absent ones among them."""
    row = session.get(ScoredCountRow, (version, *ANY_KIND))
    scores = select(ScoreRow.image_id).where(ScoreRow.image_id == ImageRow.id, ScoreRow.model_version == version)
    absent = select(func.count()).select_from(ImageRow).where(not_(ImageRow.present), scores.exists())
    return 0 if row is None else row.images - (session.scalar(absent) or 0)
