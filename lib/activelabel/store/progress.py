"""How far the work is, in numbers: what `GET /info/` shows."""

from sqlalchemy import ColumnElement, ScalarSelect, exists, func, select

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
        of_image = AnnotationRow.image_id == ImageRow.id
        training = ImageRow.role == "training"
        with self._reading() as session:
            latest = latest_model_row(session)
            version = None if latest is None else latest.version
            unseen = current_final() & ~exists().where(
                ModelAnnotationRow.model_version == version, ModelAnnotationRow.annotation_id == AnnotationRow.id
            )
            annotated = exists().where(of_image, complete())
            final = exists().where(of_image, current_final())
            new = exists().where(of_image, unseen)
            counted = {
                "images": _count(),
                "training": _count(training),
                "validation": _count(ImageRow.role == "validation"),
                "annotated": _count(annotated),
                "partly_annotated": _count(final, ~annotated),
                "leased": _count(exists().where(LeaseRow.image_id == ImageRow.id, active(now))),
                "unreadable": _count(ImageRow.unreadable_reason.is_not(None)),
                "scored": _count(exists().where(ScoreRow.image_id == ImageRow.id, ScoreRow.model_version == version)),
                "new_annotations": _count(new),
                "new_training_annotations": _count(new, training),
            }
            row = session.execute(select(*(query.label(name) for name, query in counted.items())))
            return Progress(latest_model=version, **row.mappings().one())


def _count(*conditions: ColumnElement[bool]) -> ScalarSelect[int]:
    """How many images that are there fulfil all conditions."""
    there = select(func.count()).select_from(ImageRow).where(ImageRow.present.is_(True))
    return there.where(*conditions).scalar_subquery()
