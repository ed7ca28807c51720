"""The tables of work: what each process holds, and how far scoring is."""

from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    String,
)
from sqlalchemy.orm import Mapped, mapped_column

from activelabel.store.columns import Name, UtcDateTime, Word
from activelabel.store.records.work import WorkKind
from activelabel.store.schema.base import Base


class WorkClaimRow(Base):
    """A piece of work that a worker holds until `expires_at`: an image, or a whole job (`item` empty).

    It refers to no other table: a claim that outlives its image or model expires.
    """

    __tablename__ = "work_claims"
    __table_args__ = (
        CheckConstraint("kind IN ('score', 'prepare', 'train', 'race', 'features')", name="kind"),
        Index("ix_work_claims_worker", "worker"),
        {"sqlite_with_rowid": False},
    )

    kind: Mapped[WorkKind] = mapped_column(String(10), primary_key=True)
    model_version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    item: Mapped[str] = mapped_column(Name, primary_key=True)
    worker: Mapped[str] = mapped_column(Name)
    claimed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ScoredCountRow(Base):
    """How many images have a score of a kind by a model version, so that nobody needs to count them.

    The row without a measure, region and aggregation counts the images that have any score.
    """

    __tablename__ = "scored_counts"

    model_version: Mapped[int] = mapped_column(
        ForeignKey("model_versions.version"), primary_key=True, autoincrement=False
    )
    measure: Mapped[str] = mapped_column(Word, primary_key=True)
    region: Mapped[str] = mapped_column(Word, primary_key=True)
    aggregation: Mapped[str] = mapped_column(Word, primary_key=True)
    images: Mapped[int]
