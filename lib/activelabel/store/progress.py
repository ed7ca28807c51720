"""How far the work is, in numbers: what `GET /info/` shows."""

from sqlalchemy import func, select, true

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
            new = select(AnnotationRow.image_id).where(complete(), AnnotationRow.id.not_in(seen))
            trainable = ImageRow.id.in_(new) & ImageRow.unreadable_reason.is_(None)
            scored = select(ScoreRow.image_id).where(ScoreRow.model_version == version)
            counted = {
                "images": true(),
                "training": training,
                "validation": ImageRow.role == "validation",
                "annotated": ImageRow.id.in_(annotated),
                "partly_annotated": ImageRow.id.in_(final) & ImageRow.id.not_in(annotated),
                "leased": ImageRow.id.in_(leased),
                "unreadable": ImageRow.unreadable_reason.is_not(None),
                "scored": ImageRow.id.in_(scored),
                "new_annotations": trainable,
                "new_training_annotations": trainable & training,
            }
            counts = (func.count().filter(condition).label(name) for name, condition in counted.items())
            row = session.execute(select(*counts).where(ImageRow.present.is_(True))).mappings().one()
            return Progress(latest_model=version, **row)
