"""How far the work is, in numbers: what `GET /info/` shows."""

from sqlalchemy import ColumnElement, ScalarSelect, func, select

from activelabel.store.database import Database
from activelabel.store.lookup import latest_model_row
from activelabel.store.pool import active, complete, current_final
from activelabel.store.records import Progress
from activelabel.store.schema import AnnotationRow, ImageRow, LeaseRow, ModelAnnotationRow, ScoreRow


class Overview(Database):
    """The counts of the whole study."""

    def progress(self) -> Progress:
        """The counts as they are now, all of one moment."""
        now = self._clock()
        training = ImageRow.role == "training"
        leased = select(LeaseRow.image_id).where(active(now))
        annotated = select(AnnotationRow.image_id).where(complete())
        final = select(AnnotationRow.image_id).where(current_final())
        with self._reading() as session:
            latest = latest_model_row(session)
            version = None if latest is None else latest.version
            seen = select(ModelAnnotationRow.annotation_id).where(ModelAnnotationRow.model_version == version)
            new = final.where(AnnotationRow.id.not_in(seen))
            scored = select(ScoreRow.image_id).where(ScoreRow.model_version == version)
            counted = {
                "images": _count(),
                "training": _count(training),
                "validation": _count(ImageRow.role == "validation"),
                "annotated": _count(ImageRow.id.in_(annotated)),
                "partly_annotated": _count(ImageRow.id.in_(final), ImageRow.id.not_in(annotated)),
                "leased": _count(ImageRow.id.in_(leased)),
                "unreadable": _count(ImageRow.unreadable_reason.is_not(None)),
                "scored": _count(ImageRow.id.in_(scored)),
                "new_annotations": _count(ImageRow.id.in_(new)),
                "new_training_annotations": _count(ImageRow.id.in_(new), training),
            }
            row = session.execute(select(*(query.label(name) for name, query in counted.items())))
            return Progress(latest_model=version, **row.mappings().one())


def _count(*conditions: ColumnElement[bool]) -> ScalarSelect[int]:
    """How many images that are there fulfil all conditions."""
    there = select(func.count()).select_from(ImageRow).where(ImageRow.present.is_(True))
    return there.where(*conditions).scalar_subquery()
