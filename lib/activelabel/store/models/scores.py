"""Scores: numbers that a model version gives an image and each of its slices; strategies rank by them."""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Insert, and_, select
from sqlalchemy.orm import Session

from activelabel.acquisition.score import ImageScores, Score
from activelabel.names import ScoreKind
from activelabel.store.checks import checked_word
from activelabel.store.database import Database
from activelabel.store.lookup import image_row, model_row
from activelabel.store.pool import in_pool, unfinished
from activelabel.store.schema.images import ImageRow
from activelabel.store.schema.models import ScoreRow

_LARGEST_SEED = 2**63 - 1  # the largest value of the column


class Scores(Database):
    """The scores of every model version."""

    def record_scores(
        self, model_version: int, image_id: str, scores: Iterable[Score], repeats: int, seed: int
    ) -> None:
        """Keep the scores of one image, all or none. Scores of the same kinds are replaced.

        `repeats` and `seed` tell how the scores were sampled.

        Raises:
            NotFoundError: the image or the model version is unknown.
            ValueError: a score that is not finite, naming image and measure; a seed outside 0 to 2^63 - 1.
        """
        self.record_scores_of_images(model_version, [ImageScores(image_id, tuple(scores), repeats)], seed)

    def record_scores_of_images(self, model_version: int, images: Sequence[ImageScores], seed: int) -> None:
        """Keep the scores of several images, all or none, as `record_scores`. Raises what that does."""
        if not 0 <= seed <= _LARGEST_SEED:
            raise ValueError(f"seed: expected 0 to {_LARGEST_SEED}, got {seed}")
        common = {"model_version": model_version, "seed": seed, "created_at": self._clock()}
        rows = [
            {**common, "image_id": image.image_id, "repeats": image.repeats, **_values(image.image_id, score)}
            for image in images
            for score in image.scores
        ]
        with self._writing() as session:
            model_row(session, model_version)
            for image in images:
                image_row(session, image.image_id)
            if rows:
                session.execute(_upsert(session), rows)

    def scored_images(self, model_version: int, kind: ScoreKind) -> set[str]:
        """The ids of the images that have a score of this kind from this model version."""
        statement = select(ScoreRow.image_id).where(_kind(model_version, kind))
        with self._reading() as session:
            return set(session.scalars(statement))

    def last_score_times(self, model_version: int, kind: ScoreKind, count: int) -> list[datetime]:
        """When the images that were scored last got their score of this kind by a model version, newest first."""
        times = select(ScoreRow.created_at).where(_kind(model_version, kind)).order_by(ScoreRow.created_at.desc())
        with self._reading() as session:
            return list(session.scalars(times.limit(count)))

    def has_scores(self, model_version: int, kind: ScoreKind) -> bool:
        """Whether any image has a score of this kind from this model version."""
        statement = select(select(ScoreRow).where(_kind(model_version, kind)).exists())
        with self._reading() as session:
            return bool(session.scalar(statement))

    def volume_scores(self, model_version: int, kind: ScoreKind) -> dict[str, float]:
        """Every volume score of this kind by a model version, also of images that were annotated or vanished since."""
        statement = select(ScoreRow.image_id, ScoreRow.value)
        with self._reading() as session:
            rows = session.execute(statement.where(_kind(model_version, kind)))
            return {image_id: value for image_id, value in rows}

    def score_repeats(self, model_version: int, kind: ScoreKind) -> dict[str, int]:
        """The number of repeats of each volume score of this kind, for the images of `volume_scores`."""
        statement = select(ScoreRow.image_id, ScoreRow.repeats)
        with self._reading() as session:
            rows = session.execute(statement.where(_kind(model_version, kind)))
            return {image_id: repeats for image_id, repeats in rows}

    def slice_scores(self, model_version: int, kind: ScoreKind) -> dict[str, tuple[float, ...]]:
        """The scores of all slices in order, in single precision, of every image that has them."""
        statement = select(ScoreRow.image_id, ScoreRow.slices).where(ScoreRow.slices.is_not(None))
        with self._reading() as session:
            rows = session.execute(statement.where(_kind(model_version, kind)))
            return {image_id: slices for image_id, slices in rows if slices is not None}

    def all_scores(self, model_version: int) -> list[dict[str, Any]]:
        """Every score by a model version, with repeats and seed, by image and kind; `slices` as in `slice_scores`."""
        order = (ScoreRow.image_id, ScoreRow.measure, ScoreRow.region, ScoreRow.aggregation)
        names = ("image_id", "measure", "region", "aggregation", "value", "slices", "repeats", "seed")
        statement = select(*(getattr(ScoreRow, name) for name in names)).order_by(*order)
        with self._reading() as session:
            rows = session.execute(statement.where(ScoreRow.model_version == model_version))
            return [{"model_version": model_version, **row._mapping} for row in rows]

    def slice_profile(self, image_id: str, model_version: int, kind: ScoreKind) -> tuple[float, ...] | None:
        """The scores of this kind of the slices of one image; None if there are none."""
        statement = select(ScoreRow.slices).where(ScoreRow.image_id == image_id)
        with self._reading() as session:
            return session.scalar(statement.where(_kind(model_version, kind)))

    def unscored(self, model_version: int, kind: ScoreKind) -> list[str]:
        """Present, readable, not fully annotated training images without a volume score of this kind; by id.

        Leased images are included: a lease may end without a label.
        """
        scored = select(ScoreRow.image_id).where(_kind(model_version, kind))
        statement = select(ImageRow.id).where(unfinished("training"), ImageRow.id.not_in(scored)).order_by(ImageRow.id)
        with self._reading() as session:
            return list(session.scalars(statement))

    def ranking(self, model_version: int, kind: ScoreKind, limit: int) -> dict[str, float]:
        """The best training images that may be asked for now, with their volume scores: largest first, ties by id.

        These images are present, readable, not fully annotated and not leased. The result is empty if none has such a
        score. Scores of different numbers of repeats, which a race leaves, are not compared: more repeats come first.
        """
        statement = (
            select(ScoreRow.image_id, ScoreRow.value)
            .join(ImageRow, ImageRow.id == ScoreRow.image_id)
            .where(_kind(model_version, kind))
            .where(in_pool("training", self._clock()))
            .order_by(ScoreRow.repeats.desc(), ScoreRow.value.desc(), ScoreRow.image_id)
            .limit(limit)
        )
        with self._reading() as session:
            return {image_id: value for image_id, value in session.execute(statement)}


def _kind(model_version: int, kind: ScoreKind) -> ColumnElement[bool]:
    return and_(
        ScoreRow.model_version == model_version,
        ScoreRow.measure == kind.measure,
        ScoreRow.region == kind.region,
        ScoreRow.aggregation == kind.aggregation,
    )


def _values(image_id: str, score: Score) -> dict[str, str | float | tuple[float, ...] | None]:
    for value in (score.value, *(score.slices or ())):
        if not math.isfinite(value):
            raise ValueError(
                f"score of image '{image_id}', measure '{score.measure}': expected a finite number, got {value}"
            )
    return {
        "measure": checked_word(score.measure, "measure"),
        "region": checked_word(score.region, "region"),
        "aggregation": checked_word(score.aggregation, "aggregation"),
        "value": float(score.value),
        "slices": score.slices,
    }


def _upsert(session: Session) -> Insert:
    """An insert that replaces an existing value: the same SQL in both databases, built by two modules."""
    if session.get_bind().dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert  # a tenth of the time that the ledger takes to import
    else:
        from sqlalchemy.dialects.sqlite import insert  # type: ignore[assignment]
    statement = insert(ScoreRow)
    replaced = ("value", "slices", "repeats", "seed", "created_at")
    return statement.on_conflict_do_update(
        index_elements=[column.name for column in ScoreRow.__table__.primary_key],
        set_={name: statement.excluded[name] for name in replaced},
    )
