"""The tables of the cases that were given to annotators: leases, what they hold, and what was skipped."""

from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Text,
)
from sqlalchemy.orm import Mapped, mapped_column

from activelabel.store.columns import Name, SliceList, UtcDateTime, Word
from activelabel.store.records.queries import Outcome, SkipKind
from activelabel.store.schema.base import Base, unique_where

WHOLE_VOLUME = -1  # the slice index that stands for all slices: a primary key cannot contain NULL


class LeaseRow(Base):
    """A query given to an annotator. `ended_at` NULL: not ended yet, though perhaps expired.

    `active_seconds` is how long the annotator has worked on it, as their client says; NULL if it says nothing.
    """

    __tablename__ = "leases"
    __table_args__ = (
        CheckConstraint("outcome IN ('saved', 'expired', 'released')", name="outcome"),
        CheckConstraint("(ended_at IS NULL) = (outcome IS NULL)", name="ended"),
        unique_where("uq_leases_active_annotator", "annotator", where="ended_at IS NULL"),
        Index("ix_leases_image_id", "image_id"),
        Index("ix_leases_round_number", "round_number"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    image_id: Mapped[str] = mapped_column(Name, ForeignKey("images.id"))
    slices: Mapped[list[int] | None] = mapped_column(SliceList)
    annotator: Mapped[str] = mapped_column(Name)
    strategy: Mapped[str] = mapped_column(Word)
    model_version: Mapped[int | None] = mapped_column(ForeignKey("model_versions.version"))
    score: Mapped[float | None] = mapped_column(Double)
    reason: Mapped[str] = mapped_column(Text)
    round_number: Mapped[int] = mapped_column(ForeignKey("rounds.number"))
    granted_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    outcome: Mapped[Outcome | None] = mapped_column(String(10))
    active_seconds: Mapped[float | None] = mapped_column(Double)


class LeaseItemRow(Base):
    """A volume or a slice that a lease holds now. The row is deleted when the lease ends.

    The primary key forbids leasing the same item twice. The foreign key to (id, leased_whole) forbids leasing an image
    as a whole and by slices at once: an image row has one value of `leased_whole`, and the database does not let it
    change while an item refers to it.
    """

    __tablename__ = "lease_items"
    __table_args__ = (
        ForeignKeyConstraint(["image_id", "whole"], ["images.id", "images.leased_whole"]),
        CheckConstraint(
            f"(whole AND slice_index = {WHOLE_VOLUME}) OR (NOT whole AND slice_index >= 0)", name="slice_index"
        ),
        Index("ix_lease_items_lease_id", "lease_id"),
        {"sqlite_with_rowid": False},
    )

    image_id: Mapped[str] = mapped_column(Name, primary_key=True)
    slice_index: Mapped[int] = mapped_column(Integer, primary_key=True)
    whole: Mapped[bool]
    lease_id: Mapped[int] = mapped_column(ForeignKey("leases.id"))


class SkipRow(Base):
    """A case that an annotator skipped. `last_lease` is the newest lease of all at that time, 0 for none.

    `ended_at` is when a case that cannot be annotated was brought back; *not now* ends by later leases instead.
    """

    __tablename__ = "skips"
    __table_args__ = (
        CheckConstraint("kind IN ('not now', 'cannot be annotated')", name="kind"),
        CheckConstraint("(ended_at IS NULL) = (ended_by IS NULL)", name="ended"),
        unique_where("uq_skips_set_aside", "image_id", where="kind = 'cannot be annotated' AND ended_at IS NULL"),
        Index("ix_skips_annotator", "annotator", "last_lease"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    image_id: Mapped[str] = mapped_column(Name, ForeignKey("images.id"))
    annotator: Mapped[str] = mapped_column(Name)
    kind: Mapped[SkipKind] = mapped_column(String(20))
    reason: Mapped[str] = mapped_column(Text)
    last_lease: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_by: Mapped[str | None] = mapped_column(Name)
