"""Doubts: of each label that came back, how well what a model doubted goes with where it was wrong."""

from collections.abc import Collection

from sqlalchemy import ColumnElement, func, select

from activelabel.store.checks import checked_word
from activelabel.store.database import Database
from activelabel.store.lookup import model_row, record_of
from activelabel.store.records import Doubt
from activelabel.store.schema import AnnotationRow, DoubtRow


class Doubts(Database):
    """What the labels said of the models that had not seen them."""

    def record_doubt(
        self,
        annotation_id: int,
        model_version: int,
        measure: str,
        correlation: float | None,
        *,
        wrong_voxels: int,
        voxels: int,
    ) -> Doubt:
        """Keep what one label says of the model that was in use when it came back; once a label.

        Args:
            annotation_id: the label.
            model_version: which had not learned from it.
            measure: of the doubt.
            correlation: Spearman's, between the doubt and the errors; None where it is not defined.
            wrong_voxels: in how many voxels the prediction differs from the label.
            voxels: how many were compared.

        Raises:
            NotFoundError: unknown model version.
            IntegrityError: an unknown label, one that has its record, or numbers that cannot be.
        """
        checked_word(measure, "measure")
        with self._writing() as session:
            model_row(session, model_version)
            row = DoubtRow(
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
            return record_of(row, Doubt)

    def doubts(self) -> list[Doubt]:
        """Those of all labels that were not taken back, in the order in which these came: the latest is the last."""
        statement = select(DoubtRow).where(*_KEPT).order_by(DoubtRow.annotation_id)
        with self._reading() as session:
            return [record_of(row, Doubt) for row in session.scalars(statement)]

    def latest_doubts(self, count: int, models: Collection[int]) -> list[Doubt]:
        """The last `count` of them that have a correlation and say something of these models, in the same order."""
        statement = select(DoubtRow).where(*_KEPT, DoubtRow.correlation.is_not(None), _of(models))
        with self._reading() as session:
            rows = session.scalars(statement.order_by(DoubtRow.annotation_id.desc()).limit(count))
            return [record_of(row, Doubt) for row in rows][::-1]

    def correlated_doubts(self, models: Collection[int]) -> int:
        """How many of them have a correlation and say something of these models."""
        statement = select(func.count(DoubtRow.correlation)).where(*_KEPT, _of(models))
        with self._reading() as session:
            return session.scalar(statement) or 0


_KEPT = (AnnotationRow.id == DoubtRow.annotation_id, AnnotationRow.deleted_at.is_(None))
"""Of labels that were not taken back."""


def _of(models: Collection[int]) -> ColumnElement[bool]:
    return DoubtRow.model_version.in_(sorted(models))
