"""The tables of reviews, and of cases that were read twice."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
)
from sqlalchemy.orm import Mapped, mapped_column

from activelabel.store.columns import Name, UtcDateTime
from activelabel.store.records.reviews import Difficulty, ReviewOutcome
from activelabel.store.schema.base import Base, unique_where


class ReviewRow(Base):
    """What a reviewer has decided about a label, or that they have it before them (`outcome` NULL, until `expires_at`).

    `begun_at` and `expires_at` are NULL if the label was never taken for review. `superseded_at` is when a later
    decision about the same label replaced this one; the newest decision stands.
    """

    __tablename__ = "reviews"
    __table_args__ = (
        CheckConstraint("outcome IN ('approved', 'returned', 'released', 'expired')", name="outcome"),
        CheckConstraint("difficulty IN ('easy', 'medium', 'hard')", name="difficulty"),
        CheckConstraint("(outcome IS NULL) = (ended_at IS NULL)", name="ended"),
        CheckConstraint("outcome IS NOT NULL OR expires_at IS NOT NULL", name="open"),
        Index("ix_reviews_image_id", "image_id"),
        unique_where("uq_reviews_open", "image_id", where="outcome IS NULL"),
        unique_where(
            "uq_reviews_standing",
            "annotation_id",
            where="outcome IN ('approved', 'returned') AND superseded_at IS NULL",
        ),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    image_id: Mapped[str] = mapped_column(Name, ForeignKey("images.id"))
    annotation_id: Mapped[int] = mapped_column(ForeignKey("annotations.id"))
    reviewer: Mapped[str] = mapped_column(Name)
    begun_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    outcome: Mapped[ReviewOutcome | None] = mapped_column(String(10))
    note: Mapped[str] = mapped_column(Text)
    difficulty: Mapped[Difficulty | None] = mapped_column(String(10))
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    superseded_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ReadingRow(Base):
    """Two readings of a case: a label, and the label that another annotator has drawn without seeing the first one.

    `structures` holds by name how much both agree (see `records.reviews.Agreement`). `agrees`: enough by the project's
    setting. `superseded_at` is when newer versions were compared, or a reading was taken back.
    """

    __tablename__ = "readings"
    __table_args__ = (
        Index("ix_readings_image_id", "image_id"),
        unique_where("uq_readings_current", "image_id", where="superseded_at IS NULL"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    image_id: Mapped[str] = mapped_column(Name, ForeignKey("images.id"))
    first_id: Mapped[int] = mapped_column(ForeignKey("annotations.id"))
    second_id: Mapped[int] = mapped_column(ForeignKey("annotations.id"))
    structures: Mapped[dict[str, Any]] = mapped_column(JSON)
    agrees: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    superseded_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
