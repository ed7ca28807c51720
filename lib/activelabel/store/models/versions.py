"""Model versions: numbered in the order of publication across kinds; never changed, sometimes withdrawn."""

import math
from collections.abc import Iterable, Sequence
from typing import cast

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from activelabel.store.cases.rounds import begin_round
from activelabel.store.checks import checked_name
from activelabel.store.database import Database
from activelabel.store.lookup import latest_model_row, model_in_use_row, model_row, record_of
from activelabel.store.models.choice import label_judges
from activelabel.store.models.uses import measure, settle
from activelabel.store.records.images import Role
from activelabel.store.records.models import Judges, Metrics, ModelKind, ModelVersion
from activelabel.store.records.work import Claim
from activelabel.store.schema.images import ImageRow
from activelabel.store.schema.labels import AnnotationRow
from activelabel.store.schema.models import ModelAnnotationRow, ModelVersionRow
from activelabel.store.work.claim_rows import LostClaimError, still_holds


class Models(Database):
    """The models that were published."""

    def publish_model(
        self,
        file: str,
        sha256: str,
        recipe: str,
        labels: Sequence[str],
        metrics: Metrics,
        trained_on: Iterable[int],
        validated_on: Iterable[int] = (),
        kind: ModelKind = "task",
        judges: Judges | None = None,
        *,
        claim: Claim | None = None,
    ) -> ModelVersion:
        """Give a model the next version number; begin a new round unless it is a proxy model.

        `trained_on` and `validated_on` are the ids of the annotations it learned from and was judged by. `judges` are
        the cases that judged it if they differ from `validated_on`. The model is in use from now on if it is the best
        by the same cases (see `choice.best_version`) and nobody chose another. With a `claim`, it is published only if
        the worker that trained it still holds that.

        Raises:
            LostClaimError: the worker does not; nothing is written.
            ValueError: a validation case was trained on, or a training case validated on; an annotation id is unknown;
                or a metric is NaN or infinite (an undefined one is None).
        """
        checked_name(recipe, "recipe")
        for name, value in metrics.items():
            if value is not None and not math.isfinite(value):
                raise ValueError(f"metric '{name}': expected a finite number or None, got {value}")
        used: dict[Role, list[int]] = {"training": sorted(set(trained_on)), "validation": sorted(set(validated_on))}
        now = self._clock()
        with self._writing() as session:
            if claim is not None and not still_holds(session, claim, self._shared_now(session)):
                raise LostClaimError(
                    "this training took so long without a sign of life that another worker may have begun it anew: its "
                    "model is not published"
                )
            for role, ids in used.items():
                _check_role(session, ids, role)
            row = ModelVersionRow(
                version=(session.scalar(select(func.max(ModelVersionRow.version))) or 0) + 1,
                file=file,
                sha256=sha256,
                created_at=now,
                recipe=recipe,
                labels=list(labels),
                metrics=dict(metrics),
                kind=kind,
            )
            session.add(row)
            session.flush()
            links = [{"model_version": row.version, "annotation_id": id_} for ids in used.values() for id_ in ids]
            if links:
                session.execute(insert(ModelAnnotationRow), links)
            if kind == "task":
                begin_round(session, row.version, now)
            judges = judges or label_judges(used["validation"])
            if judges is not None:
                measure(session, row.version, judges, metrics, now)
            settle(session, kind, now)
            return _model_record(session, row)

    def latest_model(self, kind: ModelKind = "task") -> ModelVersion | None:
        """The newest model of a kind that was not withdrawn, or None. It need not be the one in use."""
        with self._reading() as session:
            row = latest_model_row(session, kind)
            return None if row is None else _model_record(session, row)

    def model_in_use(self, kind: ModelKind = "task") -> ModelVersion | None:
        """The model of a kind that predicts, scores and ranks, or None if there is none."""
        with self._reading() as session:
            row = model_in_use_row(session, kind)
            return None if row is None else _model_record(session, row)

    def model(self, version: int) -> ModelVersion:
        """One model of any kind, withdrawn or not.

        Raises:
            NotFoundError: there is no such version; the text lists those there are.
        """
        with self._reading() as session:
            return _model_record(session, model_row(session, version))

    def models(self, kind: ModelKind = "task", *, in_service: bool = False) -> list[ModelVersion]:
        """All models of a kind in the order of their versions; `in_service` leaves out those that were withdrawn."""
        in_order = select(ModelVersionRow).where(ModelVersionRow.kind == kind).order_by(ModelVersionRow.version)
        if in_service:
            in_order = in_order.where(ModelVersionRow.withdrawn_at.is_(None))
        with self._reading() as session:
            return [_model_record(session, row) for row in session.scalars(in_order).all()]

    def rename_model_file(self, version: int, before: str, file: str, sha256: str) -> None:
        """Record the new file of a converted model; do nothing if its file is no longer `before`.

        Raises:
            NotFoundError: there is no such version; the text lists those there are.
        """
        with self._writing() as session:
            row = model_row(session, version)
            if row.file == before:
                row.file, row.sha256 = file, sha256

    def withdraw_model(self, version: int) -> ModelVersion:
        """Withdraw a model for good; if it was in use, the best model left of its kind is. Its number is not reused.

        Raises:
            NotFoundError: there is no such version; the text lists those there are.
        """
        with self._writing() as session:
            row = model_row(session, version)
            if row.withdrawn_at is None:
                row.withdrawn_at = self._clock()
                session.flush()
                settle(session, row.kind, row.withdrawn_at)
            return _model_record(session, row)


def _check_role(session: Session, annotation_ids: list[int], role: Role) -> None:
    statement = select(AnnotationRow.id).join(ImageRow, ImageRow.id == AnnotationRow.image_id)
    of_role = set(session.scalars(statement.where(ImageRow.role == role)))
    wrong = [annotation_id for annotation_id in annotation_ids if annotation_id not in of_role]
    if wrong:
        raise ValueError(f"annotations used for {role}: {wrong} are not of a {role} image")


def _model_record(session: Session, row: ModelVersionRow) -> ModelVersion:
    used = (
        select(ModelAnnotationRow.annotation_id, ImageRow.role)
        .join(AnnotationRow, AnnotationRow.id == ModelAnnotationRow.annotation_id)
        .join(ImageRow, ImageRow.id == AnnotationRow.image_id)
        .where(ModelAnnotationRow.model_version == row.version)
        .order_by(ModelAnnotationRow.annotation_id)
    )
    roles = cast(list[tuple[int, Role]], session.execute(used).all())
    return record_of(
        row,
        ModelVersion,
        metrics=dict(row.metrics),
        trained_on=tuple(id_ for id_, role in roles if role == "training"),
        validated_on=tuple(id_ for id_, role in roles if role == "validation"),
    )
