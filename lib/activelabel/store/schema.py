"""The tables of the ledger. The migrations create them; a test holds both together.

What must never happen is forbidden here, by the database itself, and not only by the code that writes:
one active lease an annotator, one holder a slice or volume, one current annotation an image and tag, one open draft an
image and annotator, one number a model version, one verdict on a model a label.
"""

import array
import sys
from collections.abc import Sequence
from datetime import datetime, timezone

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from activelabel.store.records import ModelKind, Outcome, Role, SkipKind, UserRole

WHOLE_VOLUME = -1  # the slice index that stands for all slices: a NULL can be no part of a primary key
NAME_LENGTH = 255  # as long as a file name can be
WORD_LENGTH = 64  # tags, measures, regions, aggregations

# PostgreSQL orders text by the language of the server unless told otherwise; ties must break as they do in Python.
Name = String(NAME_LENGTH).with_variant(String(NAME_LENGTH, collation="C"), "postgresql")
Word = String(WORD_LENGTH).with_variant(String(WORD_LENGTH, collation="C"), "postgresql")
SliceList = JSON(none_as_null=True)


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time: only aware ones go in, only UTC comes out. SQLite keeps the UTC time as text without a zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC; a time without a zone is a defect and raises ValueError."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"the ledger keeps times with a zone, got {value!r}")
        return value and value.astimezone(timezone.utc)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)


class FloatArray(TypeDecorator[tuple[float, ...]]):
    """Numbers in single precision, little-endian, one after the other: the scores of a volume's slices."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Sequence[float] | None, dialect: Dialect) -> bytes | None:
        """To bytes."""
        return None if value is None else _little_endian(array.array("f", value)).tobytes()

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> tuple[float, ...] | None:
        """From the database."""
        if value is None:
            return None
        numbers = array.array("f")
        numbers.frombytes(value)
        return tuple(_little_endian(numbers))


def _little_endian(numbers: "array.array[float]") -> "array.array[float]":
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


class Base(DeclarativeBase):
    """Base of all tables; constraints have names that a migration can refer to."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class ImageRow(Base):
    """An image. `leased_whole` says what its active leases cover, if there are any (see `LeaseItemRow`).

    `slice_axis` and `slice_count` are those by which its slices are counted; NULL until somebody had to know.
    `patient` is whose image it is, NULL where nobody said.
    `content_sha256`, `file_size`, `file_modified_ns` and `intensities` are of its file as it was last read, NULL until
    it was. `set_aside_stamp` is what its files were like when it was set aside; NULL where nobody looked.
    """

    __tablename__ = "images"
    __table_args__ = (
        CheckConstraint("role IN ('training', 'validation')", name="role"),
        CheckConstraint("(unreadable_reason IS NULL) = (unreadable_at IS NULL)", name="unreadable"),
        UniqueConstraint("id", "leased_whole"),
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
    intensities: Mapped[list[float] | None] = mapped_column(JSON(none_as_null=True))
    set_aside_stamp: Mapped[str | None] = mapped_column(Text)


class ModelVersionRow(Base):
    """A published model; only `withdrawn_at` ever changes, and `file` where that was converted to another form."""

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
    """How well a model did by some cases: when it was published, and again where those had changed.

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
    """From `began_at` on this model of its kind is the one in use, or none; the newest row of a kind says which is.

    `chosen_by` is who chose it; NULL: it was the best.
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


class RoundRow(Base):
    """A round begins when a model of the task is published; the first has none."""

    __tablename__ = "rounds"
    __table_args__ = (UniqueConstraint("model_version"),)

    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    model_version: Mapped[int | None] = mapped_column(ForeignKey("model_versions.version"))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ScoreRow(Base):
    """One number an image, measure, region, aggregation and model version, and one for each slice, or none of them."""

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

    # Read from its start, this index is the ranking: most repeats first, of those the best, ties by id.
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


class LeaseRow(Base):
    """A query given to an annotator. `ended_at` NULL: not ended yet, though perhaps expired."""

    __tablename__ = "leases"
    __table_args__ = (
        CheckConstraint("outcome IN ('saved', 'expired', 'released')", name="outcome"),
        CheckConstraint("(ended_at IS NULL) = (outcome IS NULL)", name="ended"),
        Index(
            "uq_leases_active_annotator",
            "annotator",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
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


class LeaseItemRow(Base):
    """What is held now: a volume, or one slice, by a lease that has not ended. The row goes when the lease ends.

    The primary key forbids to lease the same thing twice. The foreign key to (id, leased_whole) forbids that an image
    is leased as a whole and by slices at once: an image row has one value of `leased_whole`, and the database does not
    let it change while an item refers to it.
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


class AnnotationRow(Base):
    """A label and the slices it covers (NULL: all). Nothing is ever removed; superseded and deleted ones stay.

    `covered_slices` is how many they are, `foreground_slices` in how many of them something is drawn; NULL where the
    label was kept before slices were counted. `unchanged_from` is the model whose drawing it is, if
    nothing was changed.
    `label_names` are the names of the values 1..N, `image_sha256` is the `content_sha256` of the image on which it was
    drawn; NULL where the label was kept before either was.
    `file_size` and `file_modified_ns` are of its file when that was last known to be of this `sha256`; NULL until then.
    `coverage` is a `CoverageCase`; NULL where the label was kept before it was noted, or is none of a final tag.
    """

    __tablename__ = "annotations"
    __table_args__ = (
        UniqueConstraint("image_id", "tag", "version"),
        Index(
            "uq_annotations_current",
            "image_id",
            "tag",
            unique=True,
            sqlite_where=text("superseded_at IS NULL AND deleted_at IS NULL"),
            postgresql_where=text("superseded_at IS NULL AND deleted_at IS NULL"),
        ),
        Index("ix_annotations_round_number", "round_number"),
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


class DraftRow(Base):
    """A drawing that is not finished. Nothing is ever removed; those that ended stay.

    `file_size` and `file_modified_ns` are as those of `AnnotationRow`.
    """

    __tablename__ = "drafts"
    __table_args__ = (
        CheckConstraint("reason IN ('said', 'unconfirmed', 'incomplete', 'unstated')", name="reason"),
        UniqueConstraint("image_id", "version"),
        Index(
            "uq_drafts_open",
            "image_id",
            "annotator",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
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


class SkipRow(Base):
    """A case that an annotator did not want. `last_lease` is the newest lease of all when they said so, 0 for none.

    `ended_at` is when one that cannot be annotated was brought back; *not now* ends by what is asked for next.
    """

    __tablename__ = "skips"
    __table_args__ = (
        CheckConstraint("kind IN ('not now', 'cannot be annotated')", name="kind"),
        CheckConstraint("(ended_at IS NULL) = (ended_by IS NULL)", name="ended"),
        Index(
            "uq_skips_set_aside",
            "image_id",
            unique=True,
            sqlite_where=text("kind = 'cannot be annotated' AND ended_at IS NULL"),
            postgresql_where=text("kind = 'cannot be annotated' AND ended_at IS NULL"),
        ),
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


class FactRow(Base):
    """What was found out about the project when it began, and why: the modality of its images."""

    __tablename__ = "facts"

    name: Mapped[str] = mapped_column(Word, primary_key=True)
    value: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)


class UserRow(Base):
    """Somebody who may log in with a password; of that only a slow, salted hash is kept."""

    __tablename__ = "users"
    __table_args__ = (CheckConstraint("role IN ('annotator', 'reviewer', 'manager', 'admin')", name="role"),)

    name: Mapped[str] = mapped_column(Name, primary_key=True)
    role: Mapped[UserRole] = mapped_column(String(10))
    password_hash: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    password_changed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class LoginSessionRow(Base):
    """Somebody is logged in until `expires_at`; the row goes when they log out. Of its token only a hash is kept.

    `provider_role` is the role that a login provider gave them; NULL: they are a user of the ledger, with the role that
    they have there now.
    """

    __tablename__ = "login_sessions"
    __table_args__ = (
        CheckConstraint(
            "provider_role IS NULL OR provider_role IN ('annotator', 'reviewer', 'manager', 'admin')", name="role"
        ),
        Index("ix_login_sessions_user_name", "user_name"),
    )

    token_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_name: Mapped[str] = mapped_column(Name)
    provider_role: Mapped[UserRole | None] = mapped_column(String(10))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ModelAnnotationRow(Base):
    """Which annotations a model learned from, or was judged by: the role of the image says which."""

    __tablename__ = "model_annotations"
    __table_args__ = ({"sqlite_with_rowid": False},)

    model_version: Mapped[int] = mapped_column(ForeignKey("model_versions.version"), primary_key=True)
    annotation_id: Mapped[int] = mapped_column(ForeignKey("annotations.id"), primary_key=True)


class DoubtRow(Base):
    """Of a label, how well the doubt of the model in use when it came back goes with where that model was wrong."""

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
