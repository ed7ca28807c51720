"""The tables of labels: finished ones and drafts."""

from datetime import datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from activelabel.store.columns import Name, SliceList, UtcDateTime, Word
from activelabel.store.schema.base import Base, unique_where


class AnnotationRow(Base):
    """A label and the slices it covers (NULL: all). No row is ever removed; superseded and deleted ones stay.

    `covered_slices` is their number, `foreground_slices` the number of those on which something is drawn; NULL if the
    label was kept before slices were counted. `unchanged_from` is the model that drew it if the annotator changed
    nothing.
    `label_names` are the names of the values 1..N, `image_sha256` is the `content_sha256` of the image on which it was
    drawn; NULL if the label was kept before the ledger had these columns.
    `file_size`, `file_modified_ns` and `file_changed_ns` (see `data.files.writing.file_stamp`) are those of its file
    when its digest was last checked; NULL until then.
    `seconds` is the time since the query, `active_seconds` the part of it in which the annotator worked, as their
    client says; NULL if unknown.
    `coverage` is a `CoverageCase`; NULL if the label was kept before the ledger had this column, or is not final.
    `sent_otherwise` has, by its index, the digest of each slice that its annotator sent otherwise than the merged label
    has it, and the `format` of the digests; NULL if the label was kept before the ledger had this column, or is shown
    under another tag too.
    """

    __tablename__ = "annotations"
    __table_args__ = (
        UniqueConstraint("image_id", "tag", "version"),
        unique_where("uq_annotations_current", "image_id", "tag", where="superseded_at IS NULL AND deleted_at IS NULL"),
        Index("ix_annotations_round_number", "round_number"),
        Index(
            "ix_annotations_image_sha256",
            "image_sha256",
            sqlite_where=text("image_sha256 IS NOT NULL"),
            postgresql_where=text("image_sha256 IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    image_id: Mapped[str] = mapped_column(Name, ForeignKey("images.id"))
    tag: Mapped[str] = mapped_column(Word)
    version: Mapped[int]
    file: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(String(64))
    slices: Mapped[list[int] | None] = mapped_column(SliceList)
    covered_slices: Mapped[int | None]
    foreground_slices: Mapped[int | None]
    annotator: Mapped[str] = mapped_column(Name)
    seconds: Mapped[float | None] = mapped_column(Double)
    lease_id: Mapped[int | None] = mapped_column(ForeignKey("leases.id"))
    round_number: Mapped[int] = mapped_column(ForeignKey("rounds.number"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    superseded_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    unchanged_from: Mapped[int | None]
    label_names: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    image_sha256: Mapped[str | None] = mapped_column(String(64))
    file_size: Mapped[int | None] = mapped_column(BigInteger)
    file_modified_ns: Mapped[int | None] = mapped_column(BigInteger)
    coverage: Mapped[str | None] = mapped_column(Word)
    active_seconds: Mapped[float | None] = mapped_column(Double)
    sent_otherwise: Mapped[dict[str, str] | None] = mapped_column(JSON(none_as_null=True))
    file_changed_ns: Mapped[int | None] = mapped_column(BigInteger)


class DraftRow(Base):
    """An unfinished drawing. No row is ever removed; ended drafts stay.

    `named_slices` is a list or `"all"`, as its client has named them; NULL if it has named none, or if the draft was
    kept before the ledger had this column.

    `file_size`, `file_modified_ns` and `file_changed_ns` are as in `AnnotationRow`.
    """

    __tablename__ = "drafts"
    __table_args__ = (
        CheckConstraint("reason IN ('said', 'unconfirmed', 'incomplete', 'unstated')", name="reason"),
        UniqueConstraint("image_id", "version"),
        unique_where("uq_drafts_open", "image_id", "annotator", where="ended_at IS NULL"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    image_id: Mapped[str] = mapped_column(Name, ForeignKey("images.id"))
    annotator: Mapped[str] = mapped_column(Name)
    version: Mapped[int]
    file: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(String(64))
    slices: Mapped[list[int] | None] = mapped_column(SliceList)
    reason: Mapped[str] = mapped_column(String(20))
    why: Mapped[str] = mapped_column(Text)
    lease_id: Mapped[int | None] = mapped_column(ForeignKey("leases.id"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    file_size: Mapped[int | None] = mapped_column(BigInteger)
    file_modified_ns: Mapped[int | None] = mapped_column(BigInteger)
    named_slices: Mapped[list[int] | str | None] = mapped_column(SliceList)
    file_changed_ns: Mapped[int | None] = mapped_column(BigInteger)


class LabelContentRow(Base):
    """The content of a label's or draft's file until the disk has the file, see `annotation.label_files`.

    Rows go as soon as the next label is saved, or at the next start.
    """

    __tablename__ = "label_contents"

    file: Mapped[str] = mapped_column(Text, primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)
