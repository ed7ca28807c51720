"""Models in use: the metrics of each model by cases, which model is in use, since when, and who chose it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from activelabel.errors import InvalidInputError
from activelabel.store.checks import checked_name
from activelabel.store.database import Database
from activelabel.store.lookup import model_row, record_of
from activelabel.store.models.choice import best_version, sound_versions
from activelabel.store.records.models import Judges, Measurement, Metrics, ModelKind, ModelUse
from activelabel.store.schema.models import ModelMeasurementRow, ModelUseRow, ModelVersionRow

_CURRENT_USE = select(ModelUseRow).where(ModelUseRow.kind == bindparam("kind")).order_by(ModelUseRow.id.desc()).limit(1)
_OF_KIND = ModelVersionRow.kind == bindparam("kind")
_SERVING = select(ModelVersionRow.version).where(_OF_KIND, ModelVersionRow.withdrawn_at.is_(None))
_MEASURED = (
    select(
        ModelMeasurementRow.model_version,
        ModelMeasurementRow.judges,
        ModelMeasurementRow.cases,
        ModelMeasurementRow.metrics,
        ModelVersionRow.version.label("serving"),
        select(ModelUseRow.model_version)
        .where(ModelUseRow.kind == bindparam("kind"))
        .order_by(ModelUseRow.id.desc())
        .limit(1)
        .scalar_subquery()
        .label("in_use"),
    )
    .select_from(ModelVersionRow)
    .outerjoin(ModelMeasurementRow, ModelMeasurementRow.model_version == ModelVersionRow.version)
    .where(_OF_KIND, ModelVersionRow.withdrawn_at.is_(None))
    .order_by(ModelMeasurementRow.measured_at, ModelMeasurementRow.id)
)
"""Built once: they are executed whenever somebody asks for a case."""


class ModelUses(Database):
    """Which of the published models is in use."""

    def model_use(self, kind: ModelKind = "task") -> ModelUse | None:
        """The model in use, since when, and who chose it; None before the first model of the kind."""
        with self._reading() as session:
            row = current_use(session, kind)
            return None if row is None else record_of(row, ModelUse)

    def model_uses(self, kind: ModelKind = "task") -> list[ModelUse]:
        """All periods of use in the order of time; each ends when the next begins."""
        in_order = select(ModelUseRow).where(ModelUseRow.kind == kind).order_by(ModelUseRow.id)
        with self._reading() as session:
            return [record_of(row, ModelUse) for row in session.scalars(in_order)]

    def use_model(self, version: int, chosen_by: str) -> None:
        """Use this model, and go on using it when others are published.

        Raises:
            NotFoundError: there is no such version; the text lists those there are.
            InvalidInputError: the model was withdrawn, or the name is empty or too long.
        """
        checked_name(chosen_by, "name of who chooses")
        with self._writing() as session:
            row = model_row(session, version)
            if row.withdrawn_at is not None:
                raise InvalidInputError(
                    f"model version {version}: it was withdrawn for good; use another, or publish its file "
                    f"{row.file} anew as an upload"
                )
            begin_use(session, row.kind, version, chosen_by, self._clock())

    def use_best(self, kind: ModelKind = "task") -> None:
        """Undo a choice: use the best model, now and whenever a better one is published."""
        with self._writing() as session:
            use_best(session, kind, self._clock())

    def measurements(self, kind: ModelKind = "task") -> list[Measurement]:
        """The measurements of all models of a kind, withdrawn ones included, in the order in which they were made."""
        with self._reading() as session:
            return measurements(session, kind)

    def record_measurement(self, version: int, judges: Judges, metrics: Metrics) -> None:
        """Record the metrics of a model by these cases; a later measurement by the same cases replaces them.

        This does not change the model in use.

        Raises:
            NotFoundError: there is no such version.
        """
        with self._writing() as session:
            model_row(session, version)
            measure(session, version, judges, metrics, self._clock())

    def leave_unranked(self, version: int) -> None:
        """Drop a model that cannot be used from all comparisons. Another replaces it in use unless somebody chose it.

        Raises:
            NotFoundError: there is no such version.
        """
        with self._writing() as session:
            kind = model_row(session, version).kind
            for row in session.scalars(
                select(ModelMeasurementRow).where(ModelMeasurementRow.model_version == version)
            ).all():
                row.metrics = {}
            session.flush()
            settle(session, kind, self._clock())

    def sound_models(self) -> set[int]:
        """The model of the task in use and its predecessors (see `choice.sound_versions`)."""
        with self._reading() as session:
            models = session.execute(_MEASURED, {"kind": "task"}).all()
            serving = {model.serving for model in models}
            measured = [_measurement(model) for model in models if model.model_version is not None]
            return sound_versions(models[0].in_use if models else None, serving, measured)


def current_use(session: Session, kind: ModelKind) -> ModelUseRow | None:
    """The newest use of a model of a kind."""
    return session.scalar(_CURRENT_USE, {"kind": kind})


def measurements(session: Session, kind: ModelKind) -> list[Measurement]:
    """The measurements of all models of a kind, in the order in which they were made."""
    rows = session.scalars(
        select(ModelMeasurementRow)
        .join(ModelVersionRow, ModelVersionRow.version == ModelMeasurementRow.model_version)
        .where(ModelVersionRow.kind == kind)
        .order_by(ModelMeasurementRow.measured_at, ModelMeasurementRow.id)
    )
    return [_measurement(row) for row in rows]


def _measurement(row: Any) -> Measurement:
    """The record of a measurement's row, or of one with its columns."""
    return Measurement(row.model_version, Judges(row.judges, row.cases), dict(row.metrics))


def measure(session: Session, version: int, judges: Judges, metrics: Mapping[str, float | None], now: datetime) -> None:
    """Write a measurement, or overwrite an earlier one by the same cases."""
    row = session.scalar(
        select(ModelMeasurementRow).where(
            ModelMeasurementRow.model_version == version, ModelMeasurementRow.judges == judges.digest
        )
    )
    if row is None:
        row = ModelMeasurementRow(model_version=version, judges=judges.digest)
        session.add(row)
    row.cases, row.metrics, row.measured_at = judges.cases, dict(metrics), now
    session.flush()


def settle(session: Session, kind: ModelKind, now: datetime) -> None:
    """Use the best model after one was published or withdrawn, unless somebody chose one that is still in service."""
    use = current_use(session, kind)
    if use is None or use.chosen_by is None or use.model_version not in _versions(session, kind):
        use_best(session, kind, now)


def use_best(session: Session, kind: ModelKind, now: datetime) -> None:
    """Use the best model of a kind."""
    best = best_version(_versions(session, kind), measurements(session, kind))
    begin_use(session, kind, best, None, now)


def begin_use(session: Session, kind: ModelKind, version: int | None, chosen_by: str | None, now: datetime) -> None:
    """Use a model from now on; do nothing if it is in use already by the same choice."""
    use = current_use(session, kind)
    if use is None or (use.model_version, use.chosen_by) != (version, chosen_by):
        session.add(ModelUseRow(kind=kind, model_version=version, chosen_by=chosen_by, began_at=now))
        session.flush()


def _versions(session: Session, kind: ModelKind) -> set[int]:
    """The versions of a kind that were not withdrawn."""
    return set(session.scalars(_SERVING, {"kind": kind}))
