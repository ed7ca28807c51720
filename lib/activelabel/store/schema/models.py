"""The tables of models: versions, metrics, which is in use, what each learned from, and what each has scored."""

from datetime import datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Double,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from activelabel.store.columns import FloatArray, Name, UtcDateTime, Word
from activelabel.store.records.models import ModelKind
from activelabel.store.schema.base import Base


class ModelVersionRow(Base):
    """A published model; only `withdrawn_at` ever changes, and `file` if the file is converted to another format."""

    __tablename__ = "model_versions"
    __table_args__ = (CheckConstraint("kind IN ('task', 'proxy')", name="kind"),)

    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    file: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    recipe: Mapped[str] = mapped_column(Name)
    labels: Mapped[list[str]] = mapped_column(JSON)
    metrics: Mapped[dict[str, float | None]] = mapped_column(JSON)
    withdrawn_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    kind: Mapped[ModelKind] = mapped_column(String(10), server_default="task")


class ModelMeasurementRow(Base):
    """The metrics of a model by some cases: measured at its publication, and again if the cases change.

    `judges` is a digest of the labels of these cases: only metrics of equal `judges` can be compared.
    """

    __tablename__ = "model_measurements"
    __table_args__ = (UniqueConstraint("model_version", "judges"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    model_version: Mapped[int] = mapped_column(ForeignKey("model_versions.version"))
    judges: Mapped[str] = mapped_column(String(64))
    cases: Mapped[int]
    metrics: Mapped[dict[str, float | None]] = mapped_column(JSON)
    measured_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ModelUseRow(Base):
    """The model of its kind in use from `began_at` on, or none; the newest row of a kind is valid now.

    `chosen_by` is the person who chose it; NULL: it was used as the best.
    """

    __tablename__ = "model_uses"
    __table_args__ = (
        CheckConstraint("kind IN ('task', 'proxy')", name="kind"),
        CheckConstraint("chosen_by IS NULL OR model_version IS NOT NULL", name="chosen"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    kind: Mapped[ModelKind] = mapped_column(String(10))
    model_version: Mapped[int | None] = mapped_column(ForeignKey("model_versions.version"))
    chosen_by: Mapped[str | None] = mapped_column(Name)
    began_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ScoreRow(Base):
    """One score per image, measure, region, aggregation and model version, and one for each slice or for none."""

    __tablename__ = "scores"

    image_id: Mapped[str] = mapped_column(Name, ForeignKey("images.id"), primary_key=True)
    model_version: Mapped[int] = mapped_column(ForeignKey("model_versions.version"), primary_key=True)
    measure: Mapped[str] = mapped_column(Word, primary_key=True)
    region: Mapped[str] = mapped_column(Word, primary_key=True)
    aggregation: Mapped[str] = mapped_column(Word, primary_key=True)
    value: Mapped[float] = mapped_column(Double)
    slices: Mapped[tuple[float, ...] | None] = mapped_column(FloatArray)
    repeats: Mapped[int] = mapped_column(Integer)
    seed: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    # Read from its start, this index is the ranking: most repeats first, then the largest score, ties by id.
    __table_args__ = (
        Index(
            "ix_scores_ranking",
            *("model_version", "measure", "region", "aggregation"),
            repeats.desc(),
            value.desc(),
            "image_id",
        ),
        {"sqlite_with_rowid": False},
    )


class ModelAnnotationRow(Base):
    """An annotation that a model learned from or was judged by; the role of the image tells which."""

    __tablename__ = "model_annotations"
    __table_args__ = ({"sqlite_with_rowid": False},)

    model_version: Mapped[int] = mapped_column(ForeignKey("model_versions.version"), primary_key=True)
    annotation_id: Mapped[int] = mapped_column(ForeignKey("annotations.id"), primary_key=True)


class UncertaintyCheckRow(Base):
    """How well the uncertainty of the model in use when a label came back agrees with the model's errors in it."""

    __tablename__ = "doubts"
    __table_args__ = (
        CheckConstraint("correlation BETWEEN -1 AND 1", name="correlation"),
        CheckConstraint("wrong_voxels BETWEEN 0 AND voxels", name="wrong_voxels"),
        CheckConstraint("correlation IS NULL OR (wrong_voxels > 0 AND wrong_voxels < voxels)", name="defined"),
    )

    annotation_id: Mapped[int] = mapped_column(ForeignKey("annotations.id"), primary_key=True, autoincrement=False)
    model_version: Mapped[int] = mapped_column(ForeignKey("model_versions.version"))
    measure: Mapped[str] = mapped_column(Word)
    correlation: Mapped[float | None] = mapped_column(Double)
    wrong_voxels: Mapped[int] = mapped_column(BigInteger)
    voxels: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
