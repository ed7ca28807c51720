"""Checks of uncertainty: for each label that came back, how well a model's uncertainty agrees with its errors."""

from collections.abc import Collection

from sqlalchemy import ColumnElement, bindparam, func, select

from activelabel.store.checks import checked_word
from activelabel.store.database import Database
from activelabel.store.lookup import model_row, record_of
from activelabel.store.records.models import UncertaintyCheck
from activelabel.store.schema.labels import AnnotationRow
from activelabel.store.schema.models import UncertaintyCheckRow


class UncertaintyChecks(Database):
    """The comparisons of labels with models that had not learned from them."""

    def record_uncertainty_check(
        self,
        annotation_id: int,
        model_version: int,
        measure: str,
        correlation: float | None,
        *,
        wrong_voxels: int,
        voxels: int,
    ) -> UncertaintyCheck:
        """Record how well the uncertainty of the model in use agreed with its errors in one label; once per label.

        Args:
            annotation_id: the label.
            model_version: the model that was in use when the label came back; it had not learned from the label.
            measure: the measure of uncertainty.
            correlation: Spearman's, between uncertainty and errors; None where it is not defined.
            wrong_voxels: the number of voxels in which the prediction differs from the label.
            voxels: the number of voxels compared.

        Raises:
            NotFoundError: the model version is unknown.
            IntegrityError: the label is unknown or has a record already, or the numbers are impossible.
        """
        checked_word(measure, "measure")
        with self._writing() as session:
            model_row(session, model_version)
            row = UncertaintyCheckRow(
                annotation_id=annotation_id,
                model_version=model_version,
                measure=measure,
                correlation=correlation,
                wrong_voxels=wrong_voxels,
                voxels=voxels,
                created_at=self._clock(),
            )
            session.add(row)
            session.flush()
            return record_of(row, UncertaintyCheck)

    def uncertainty_checks(self) -> list[UncertaintyCheck]:
        """The records of all labels that were not deleted, in the order of the labels: the newest is the last."""
        statement = select(UncertaintyCheckRow).where(*_IS_NOT_DELETED).order_by(UncertaintyCheckRow.annotation_id)
        with self._reading() as session:
            return [record_of(row, UncertaintyCheck) for row in session.scalars(statement)]

    def latest_uncertainty_checks(self, count: int, models: Collection[int]) -> list[UncertaintyCheck]:
        """The last `count` records of these models that have a correlation, in the order of the labels."""
        with self._reading() as session:
            rows = session.scalars(_LATEST, {"models": sorted(models), "size": count}).all()
            return [record_of(row, UncertaintyCheck) for row in rows][::-1]

    def count_uncertainty_checks(self, models: Collection[int]) -> int:
        """The number of records of these models that have a correlation."""
        with self._reading() as session:
            return session.scalar(_COUNT, {"models": sorted(models)}) or 0


_IS_NOT_DELETED = (AnnotationRow.id == UncertaintyCheckRow.annotation_id, AnnotationRow.deleted_at.is_(None))
"""Selects the records of labels that were not deleted."""
_OF_MODELS: ColumnElement[bool] = UncertaintyCheckRow.model_version.in_(bindparam("models", expanding=True))
_COUNT = select(func.count(UncertaintyCheckRow.correlation)).where(*_IS_NOT_DELETED, _OF_MODELS)
_LATEST = (
    select(UncertaintyCheckRow)
    .where(*_IS_NOT_DELETED, UncertaintyCheckRow.correlation.is_not(None), _OF_MODELS)
    .order_by(UncertaintyCheckRow.annotation_id.desc())
    .limit(bindparam("size"))
)
"""Built once: they are executed whenever somebody asks for a case."""
