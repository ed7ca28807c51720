"""The table of images."""

from datetime import datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Index,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from activelabel.store.columns import Name, UtcDateTime
from activelabel.store.records.images import Role
from activelabel.store.schema.base import Base

_FEW_IMAGES = {
    "ix_images_validation": "role = 'validation'",
    "ix_images_absent": "NOT present",
    "ix_images_unreadable": "unreadable_reason IS NOT NULL",
    "ix_images_measured": "intensities IS NOT NULL",
    "ix_images_not_read": "content_sha256 IS NULL",
}
"""Indexes of images for which something is true; among a million these are found without reading all."""


class ImageRow(Base):
    """An image. `leased_whole` tells whether its active leases are for the whole volume (see `LeaseItemRow`).

    `slice_axis` is the voxel axis along which its slices are counted, `slice_count` their number; NULL until needed.
    `patient` is NULL where unknown.
    `content_sha256`, `file_size`, `file_modified_ns`, `file_changed_ns` (see `data.files.state`) and `intensities`
    describe its file as it was last read, NULL before. `set_aside_stamp` is the state of its files when it was set
    aside, or a marker of why (see `server.pacs.series_images`); NULL if it was not recorded.
    `random_place` is its place in the random order of the seed `random_seed` (see `store.random_order`), NULL until it
    is needed.
    """

    __tablename__ = "images"
    __table_args__ = (
        CheckConstraint("role IN ('training', 'validation')", name="role"),
        CheckConstraint("(unreadable_reason IS NULL) = (unreadable_at IS NULL)", name="unreadable"),
        UniqueConstraint("id", "leased_whole"),
        *(
            Index(
                name,
                "id",
                sqlite_where=text(condition.replace("NOT present", "present = 0")),  # as its queries say it
                postgresql_where=text(condition),
            )
            for name, condition in _FEW_IMAGES.items()
        ),
        Index(
            "ix_images_patient",
            "patient",
            sqlite_where=text("patient IS NOT NULL"),
            postgresql_where=text("patient IS NOT NULL"),
        ),
        Index("ix_images_random_place", "random_seed", "random_place", "id"),
        {"sqlite_with_rowid": False},
    )

    id: Mapped[str] = mapped_column(Name, primary_key=True)
    added_at: Mapped[datetime] = mapped_column(UtcDateTime)
    role: Mapped[Role] = mapped_column(String(10))
    present: Mapped[bool]
    unreadable_reason: Mapped[str | None] = mapped_column(Text)
    unreadable_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    leased_whole: Mapped[bool]
    slice_axis: Mapped[int | None]
    slice_count: Mapped[int | None]
    patient: Mapped[str | None] = mapped_column(Name)
    content_sha256: Mapped[str | None] = mapped_column(String(64))
    file_size: Mapped[int | None] = mapped_column(BigInteger)
    file_modified_ns: Mapped[int | None] = mapped_column(BigInteger)
    file_changed_ns: Mapped[int | None] = mapped_column(BigInteger)
    intensities: Mapped[list[float] | None] = mapped_column(JSON(none_as_null=True))
    set_aside_stamp: Mapped[str | None] = mapped_column(Text)
    random_seed: Mapped[int | None]
    random_place: Mapped[int | None] = mapped_column(BigInteger)

    @property
    def usable_now(self) -> bool:
        """Whether its file is present and, as far as is known, can be read."""
        return self.present and self.unreadable_reason is None
