"""Scores: numbers that a model version gives an image and each of its slices; strategies rank by them."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Insert, and_, bindparam, select
from sqlalchemy.orm import Session

from activelabel.acquisition.score import ImageScores, Score
from activelabel.names import ScoreKind
from activelabel.store.checks import checked_word
from activelabel.store.columns import UtcDateTime
from activelabel.store.lookup import image_row, model_row
from activelabel.store.pool import in_pool, unfinished
from activelabel.store.records.work import Claim
from activelabel.store.schema.images import ImageRow
from activelabel.store.schema.models import ScoreRow
from activelabel.store.schema.work import ScoredCountRow
from activelabel.store.work.claim_rows import LostClaimError, end_held, still_holds
from activelabel.store.work.left_to_score import OF_KIND, LeftToScore, values_of

_LARGEST_SEED = 2**63 - 1  # the largest value of the column
_ITEMS: BindParameter[str] = bindparam("items", expanding=True)
_AMONG = select(ImageRow.id).where(ImageRow.id.in_(_ITEMS))
_SCORED_AMONG = select(ScoreRow.image_id, ScoreRow.measure, ScoreRow.region, ScoreRow.aggregation).where(
    ScoreRow.model_version == bindparam("model"), ScoreRow.image_id.in_(_ITEMS)
)
# These are built once, because they are executed whenever somebody asks for a case.
_RANKING = (
    select(ScoreRow.image_id, ScoreRow.value)
    .join(ImageRow, ImageRow.id == ScoreRow.image_id)
    .where(OF_KIND, in_pool("training", bindparam("now", type_=UtcDateTime)))
    .order_by(ScoreRow.repeats.desc(), ScoreRow.value.desc(), ScoreRow.image_id)
    .limit(bindparam("size"))
)
_ANY_SCORE = select(select(ScoreRow).where(OF_KIND).exists())
_Kind = tuple[str, str, str]
ANY_KIND: _Kind = ("", "", "")
"""Under which images with any score are counted."""


class Scores(LeftToScore):
    """The scores of every model version."""

    def record_scores(
        self,
        model_version: int,
        image_id: str,
        scores: Iterable[Score],
        repeats: int,
        seed: int,
        *,
        claim: Claim | None = None,
    ) -> bool:
        """Keep the scores of one image, all or none. Scores of the same kinds are replaced.

        `repeats` and `seed` tell how the scores were sampled. With a `claim` of the image, the scores are kept only if
        its worker still holds it, and the claim ends with that. The result is whether they were kept.

        Raises:
            NotFoundError: the image or the model version is unknown.
            ValueError: a score that is not finite, naming image and measure; a seed outside 0 to 2^63 - 1.
        """
        images = [ImageScores(image_id, tuple(scores), repeats)]
        worker = "" if claim is None else claim.worker
        return not self.record_scores_of_images(model_version, images, seed, worker=worker)

    def record_scores_of_images(
        self,
        model_version: int,
        images: Sequence[ImageScores],
        seed: int,
        *,
        worker: str = "",
        job: Claim | None = None,
    ) -> list[str]:
        """Keep the scores of several images, all or none, as `record_scores`. Raises what that does.

        With a `worker`, those of images that it has lost are left out; the result names them. With a `job`, all are
        left out if its worker has lost that.

        Raises:
            LostClaimError: the whole job is lost.
        """
        if not 0 <= seed <= _LARGEST_SEED:
            raise ValueError(f"seed: expected 0 to {_LARGEST_SEED}, got {seed}")
        _check_words([score for image in images for score in image.scores])
        common = {"model_version": model_version, "seed": seed, "created_at": self._clock()}
        rows = {
            image.image_id: [
                {**common, "image_id": image.image_id, "repeats": image.repeats, **_values(image.image_id, score)}
                for score in image.scores
            ]
            for image in images
        }
        with self._beside_writers() if worker else self._writing() as session:
            model_row(session, model_version)
            for unknown in rows.keys() - set(session.scalars(_AMONG, {"items": list(rows)})):
                image_row(session, unknown)  # raises
            lost = self._end_claims(session, model_version, sorted(rows), worker) if worker else []
            if job is not None and not still_holds(session, job, self._shared_now(session)):
                raise LostClaimError(f"this {job.kind} was lost to another worker: nothing more of it is written")
            kept = [image_id for image_id in rows if image_id not in lost and rows[image_id]]
            new = _count_new(session, model_version, {image_id: rows[image_id] for image_id in kept})
            if kept:
                session.execute(_upsert(session), [row for image_id in kept for row in rows[image_id]])
            _count_scored(session, model_version, new)  # last: others wait for this row until the end
            return lost

    def _end_claims(self, session: Session, model_version: int, image_ids: Sequence[str], worker: str) -> list[str]:
        """Give back a worker's claims of images that it has scored; return the images that it does not hold."""
        held = end_held(session, "score", model_version, image_ids, worker, self._shared_now(session))
        return [image_id for image_id in image_ids if image_id not in held]

    def scored_images(self, model_version: int, kind: ScoreKind) -> set[str]:
        """The ids of the images that have a score of this kind from this model version."""
        statement = select(ScoreRow.image_id).where(of_kind(model_version, kind))
        with self._reading() as session:
            return set(session.scalars(statement))

    def last_score_times(self, model_version: int, kind: ScoreKind, count: int) -> list[datetime]:
        """When the images that were scored last got their score of this kind by a model version, newest first."""
        times = select(ScoreRow.created_at).where(of_kind(model_version, kind)).order_by(ScoreRow.created_at.desc())
        with self._reading() as session:
            return list(session.scalars(times.limit(count)))

    def has_scores(self, model_version: int, kind: ScoreKind) -> bool:
        """Whether any image has a score of this kind from this model version."""
        with self._reading() as session:
            return bool(session.scalar(_ANY_SCORE, values_of(model_version, kind)))

    def volume_scores(self, model_version: int, kind: ScoreKind) -> dict[str, float]:
        """Every volume score of this kind by a model version, also of images that were annotated or vanished since."""
        statement = select(ScoreRow.image_id, ScoreRow.value)
        with self._reading() as session:
            rows = session.execute(statement.where(of_kind(model_version, kind)))
            return {image_id: value for image_id, value in rows}

    def score_repeats(self, model_version: int, kind: ScoreKind) -> dict[str, int]:
        """The number of repeats of each volume score of this kind, for the images of `volume_scores`."""
        statement = select(ScoreRow.image_id, ScoreRow.repeats)
        with self._reading() as session:
            rows = session.execute(statement.where(of_kind(model_version, kind)))
            return {image_id: repeats for image_id, repeats in rows}

    def slice_scores(self, model_version: int, kind: ScoreKind) -> dict[str, tuple[float, ...]]:
        """The scores of all slices in order, in single precision, of every image that has them."""
        statement = select(ScoreRow.image_id, ScoreRow.slices).where(ScoreRow.slices.is_not(None))
        with self._reading() as session:
            rows = session.execute(statement.where(of_kind(model_version, kind)))
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
            return session.scalar(statement.where(of_kind(model_version, kind)))

    def unscored(self, model_version: int, kind: ScoreKind) -> list[str]:
        """Present, readable, not fully annotated training images without a volume score of this kind; by id.

        Leased images are included: a lease may end without a label.
        """
        scored = select(ScoreRow.image_id).where(of_kind(model_version, kind))
        statement = select(ImageRow.id).where(unfinished("training"), ImageRow.id.not_in(scored)).order_by(ImageRow.id)
        with self._reading() as session:
            return list(session.scalars(statement))

    def ranking(self, model_version: int, kind: ScoreKind, limit: int) -> dict[str, float]:
        """The best training images that may be asked for now, with their volume scores: largest first, ties by id.

        These images are present, readable, not fully annotated and not leased. The result is empty if none has such a
        score. Scores of different numbers of repeats, which a race leaves, are not compared: more repeats come first.
        """
        values = {**values_of(model_version, kind), "now": self._clock(), "size": limit}
        with self._reading() as session:
            return {image_id: value for image_id, value in session.execute(_RANKING, values)}


def of_kind(model_version: int, kind: ScoreKind) -> ColumnElement[bool]:
    """Scores of this kind by this model version."""
    return and_(
        ScoreRow.model_version == model_version,
        ScoreRow.measure == kind.measure,
        ScoreRow.region == kind.region,
        ScoreRow.aggregation == kind.aggregation,
    )


def _count_new(session: Session, model_version: int, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> Counter[_Kind]:
    """How many of the images are about to get their first score of each kind by a model version."""
    if not rows:
        return Counter()
    before = session.execute(_SCORED_AMONG, {"model": model_version, "items": list(rows)}).tuples().all()
    known = {(image_id, (measure, region, aggregation)) for image_id, measure, region, aggregation in before}
    known |= {(image_id, ANY_KIND) for image_id, *_ in before}
    now = {
        (image_id, (row["measure"], row["region"], row["aggregation"])) for image_id in rows for row in rows[image_id]
    }
    now |= {(image_id, ANY_KIND) for image_id in rows}
    return Counter(kind for _, kind in now - known)


def _count_scored(session: Session, model_version: int, new: Counter[_Kind]) -> None:
    """Count images that got their first score of a kind, by statements that others may execute at the same time."""
    if not new:
        return
    insert = _insert_of(session)(ScoredCountRow)
    counted = insert.on_conflict_do_update(
        index_elements=[column.name for column in ScoredCountRow.__table__.primary_key],
        set_={"images": ScoredCountRow.images + insert.excluded.images},
    )
    names = ("measure", "region", "aggregation")
    rows = [
        {"model_version": model_version, **dict(zip(names, kind, strict=True)), "images": count}
        for kind, count in sorted(new.items())  # in one order, so that two transactions never wait for each other
    ]
    session.execute(counted, rows)


def _check_words(scores: Collection[Score]) -> None:
    """Check the few words of many scores, each once."""
    for field in ("measure", "region", "aggregation"):
        for word in {getattr(score, field) for score in scores}:
            checked_word(word, field)


def _values(image_id: str, score: Score) -> dict[str, str | float | tuple[float, ...] | None]:
    values = (score.value, *(score.slices or ()))
    if not all(map(math.isfinite, values)):
        wrong = next(value for value in values if not math.isfinite(value))
        raise ValueError(
            f"score of image '{image_id}', measure '{score.measure}': expected a finite number, got {wrong}"
        )
    return {
        "measure": score.measure,
        "region": score.region,
        "aggregation": score.aggregation,
        "value": float(score.value),
        "slices": score.slices,
    }


def _insert_of(session: Session) -> Any:
    """The insert of the database at hand that can replace: the same SQL in both, built by two modules."""
    if session.get_bind().dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert  # a tenth of the time that the ledger takes to import
    else:
        from sqlalchemy.dialects.sqlite import insert  # type: ignore[assignment]
    return insert


def _upsert(session: Session) -> Insert:
    """An insert that replaces an existing value, into the table itself: mapped classes cost time for each row."""
    statement = _insert_of(session)(ScoreRow.__table__)
    replaced = ("value", "slices", "repeats", "seed", "created_at")
    upsert: Insert = statement.on_conflict_do_update(
        index_elements=[column.name for column in ScoreRow.__table__.primary_key],
        set_={name: statement.excluded[name] for name in replaced},
    )
    return upsert
