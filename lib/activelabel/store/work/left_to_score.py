"""How many images a model has not scored yet, from counts that are kept: of all, less the few that are out."""

from sqlalchemy import ColumnElement, and_, bindparam, case, func, not_, select, union
from sqlalchemy.orm import Session

from activelabel.names import ScoreKind
from activelabel.store.image_counts import REVISION, ImageCounting
from activelabel.store.pool import complete, of_role, set_aside
from activelabel.store.schema.images import ImageRow
from activelabel.store.schema.labels import AnnotationRow
from activelabel.store.schema.models import ScoreRow
from activelabel.store.schema.queries import SkipRow
from activelabel.store.schema.work import ScoredCountRow


def _of_kind(row: type[ScoreRow] | type[ScoredCountRow]) -> ColumnElement[bool]:
    return and_(
        row.model_version == bindparam("model"),
        row.measure == bindparam("measure"),
        row.region == bindparam("region"),
        row.aggregation == bindparam("aggregation"),
    )


OF_KIND = _of_kind(ScoreRow)
"""Scores of a kind by a model version, with the parameters of `values_of`."""
TO_SCORE = and_(ImageRow.role == "training", ImageRow.present.is_(True), ImageRow.unreadable_reason.is_(None))
"""Images that are scored, unless an annotation or a person has taken them out."""
_OUT = union(
    select(AnnotationRow.image_id.label("id")).where(complete()),
    select(SkipRow.image_id).where(set_aside()),
    select(ImageRow.id).where(not_(ImageRow.present)),
    select(ImageRow.id).where(ImageRow.unreadable_reason.is_not(None)),
    select(ImageRow.id).where(of_role("validation")),
).subquery()
"""The images that are not to be scored: few beside all."""
_SCORED = select(ScoredCountRow.images).where(_of_kind(ScoredCountRow))
_COUNTS = (
    select(func.count(case((TO_SCORE, 1))), func.count(ScoreRow.image_id), _SCORED.scalar_subquery(), REVISION)
    .select_from(_OUT)
    .join(ImageRow, ImageRow.id == _OUT.c.id)
    .outerjoin(ScoreRow, and_(ScoreRow.image_id == _OUT.c.id, OF_KIND))
)
"""How many of them would be usable for training otherwise, how many of them have a score, how many of all have one, and
the revision of images: one statement, which sees one state of the ledger on PostgreSQL too."""


class LeftToScore(ImageCounting):
    """The part of the ledger that counts the images that are left to score."""

    def count_unscored(self, model_version: int, kind: ScoreKind) -> int:
        """The number of images that `unscored` lists, without reading them."""
        with self._reading() as session:
            return self._count_unscored(session, values_of(model_version, kind))

    def _count_unscored(self, session: Session, values: dict[str, object]) -> int:
        usable_out, scored_out, scored, revision = session.execute(_COUNTS, values).one()
        return self._counts_of(session, revision).usable_training - usable_out - ((scored or 0) - scored_out)


def values_of(model_version: int, kind: ScoreKind) -> dict[str, object]:
    """The parameters of `OF_KIND`."""
    names = {"measure": kind.measure, "region": kind.region, "aggregation": kind.aggregation}
    return {"model": model_version, **names}
