"""The tables of the ledger. The migrations create them; a test checks that both agree.

The database itself enforces these rules: at most one active lease per annotator, one holder per slice or volume, one
current annotation per image and tag, one open draft per image and annotator, one open review per image, one standing
decision per label, one number per model version, one comparison with a model per label.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from activelabel.store.columns import FloatArray, Name, SliceList, UtcDateTime, Word
from activelabel.store.records import Difficulty, ModelKind, Outcome, ReviewOutcome, Role, SkipKind, UserRole, WorkKind

WHOLE_VOLUME = -1  # the slice index that stands for all slices: a primary key cannot contain NULL


class Base(DeclarativeBase):
    """The base of all tables; constraints have names to which a migration can refer."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


_FEW_IMAGES = {
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
    `content_sha256`, `file_size`, `file_modified_ns` and `intensities` describe its file as it was last read, NULL
    before. `set_aside_stamp` is the state of its files when it was set aside; NULL if it was not recorded.
    """

    __tablename__ = "images"
    __table_args__ = (
        CheckConstraint("role IN ('training', 'validation')", name="role"),
        CheckConstraint("(unreadable_reason IS NULL) = (unreadable_at IS NULL)", name="unreadable"),
        UniqueConstraint("id", "leased_whole"),
        Index("ix_images_role", "role", "id"),
        *(
            Index(
                name,
                "id",
                sqlite_where=text(condition.replace("NOT present", "present = 0")),  # as its queries say it
                postgresql_where=text(condition),
            )
            for name, condition in _FEW_IMAGES.items()
        ),
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

    @property
    def usable_now(self) -> bool:
        """Whether its file is present and, as far as is known, can be read."""
        return self.present and self.unreadable_reason is None


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


class RoundRow(Base):
    """A round, which begins when a model of the task is published; the first round has no model."""

    __tablename__ = "rounds"
    __table_args__ = (UniqueConstraint("model_version"),)

    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    model_version: Mapped[int | None] = mapped_column(ForeignKey("model_versions.version"))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)


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


class ScoredCountRow(Base):
    """How many images have a score by a model version, so that nobody needs to count them."""

    __tablename__ = "scored_counts"

    model_version: Mapped[int] = mapped_column(
        ForeignKey("model_versions.version"), primary_key=True, autoincrement=False
    )
    images: Mapped[int]


class LeaseRow(Base):
    """A query given to an annotator. `ended_at` NULL: not ended yet, though perhaps expired.

    `active_seconds` is how long the annotator has worked on it, as their client says; NULL if it says nothing.
    """

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


class AnnotationRow(Base):
    """A label and the slices it covers (NULL: all). No row is ever removed; superseded and deleted ones stay.

    `covered_slices` is their number, `foreground_slices` the number of those on which something is drawn; NULL if the
    label was kept before slices were counted. `unchanged_from` is the model that drew it if the annotator changed
    nothing.
    `label_names` are the names of the values 1..N, `image_sha256` is the `content_sha256` of the image on which it was
    drawn; NULL if the label was kept before the ledger had these columns.
    `file_size` and `file_modified_ns` are those of its file when its digest was last checked; NULL until then.
    `seconds` is the time since the query, `active_seconds` the part of it in which the annotator worked, as their
    client says; NULL if unknown.
    `coverage` is a `CoverageCase`; NULL if the label was kept before the ledger had this column, or is not final.
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
    active_seconds: Mapped[float | None] = mapped_column(Double)


class DraftRow(Base):
    """An unfinished drawing. No row is ever removed; ended drafts stay.

    `file_size` and `file_modified_ns` are as in `AnnotationRow`.
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
    """A case that an annotator skipped. `last_lease` is the newest lease of all at that time, 0 for none.

    `ended_at` is when a case that cannot be annotated was brought back; *not now* ends by later leases instead.
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
        Index(
            "uq_reviews_open",
            "image_id",
            unique=True,
            sqlite_where=text("outcome IS NULL"),
            postgresql_where=text("outcome IS NULL"),
        ),
        Index(
            "uq_reviews_standing",
            "annotation_id",
            unique=True,
            sqlite_where=text("outcome IN ('approved', 'returned') AND superseded_at IS NULL"),
            postgresql_where=text("outcome IN ('approved', 'returned') AND superseded_at IS NULL"),
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
    """Two readings of a case: a final label, and the label that another annotator has drawn without seeing it.

    `structures` holds by name how much both agree (see `records.Agreement`). `agrees`: enough by the project's setting.
    """

    __tablename__ = "readings"
    __table_args__ = (UniqueConstraint("second_id"), Index("ix_readings_image_id", "image_id"))

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    image_id: Mapped[str] = mapped_column(Name, ForeignKey("images.id"))
    first_id: Mapped[int] = mapped_column(ForeignKey("annotations.id"))
    second_id: Mapped[int] = mapped_column(ForeignKey("annotations.id"))
    structures: Mapped[dict[str, Any]] = mapped_column(JSON)
    agrees: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class FactRow(Base):
    """A fact recorded when the project began, and its reason: the modality of its images."""

    __tablename__ = "facts"

    name: Mapped[str] = mapped_column(Word, primary_key=True)
    value: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)


class UserRow(Base):
    """A person who may log in with a password; only a slow, salted hash of the password is kept."""

    __tablename__ = "users"
    __table_args__ = (CheckConstraint("role IN ('annotator', 'reviewer', 'manager', 'admin')", name="role"),)

    name: Mapped[str] = mapped_column(Name, primary_key=True)
    role: Mapped[UserRole] = mapped_column(String(10))
    password_hash: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    password_changed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class LoginSessionRow(Base):
    """A login that holds until `expires_at`; logging out deletes the row. Only a hash of its token is kept.

    `provider_role` is the role that a login provider gave the person; NULL: the person is a user of the ledger and has
    their current role there.
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
    """An annotation that a model learned from or was judged by; the role of the image tells which."""

    __tablename__ = "model_annotations"
    __table_args__ = ({"sqlite_with_rowid": False},)

    model_version: Mapped[int] = mapped_column(ForeignKey("model_versions.version"), primary_key=True)
    annotation_id: Mapped[int] = mapped_column(ForeignKey("annotations.id"), primary_key=True)


class DoubtRow(Base):
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
