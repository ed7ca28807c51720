"""The first ledger: images, models, rounds, scores, leases, annotations."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _text(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def _time(name: str, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    _create_images()
    _create_models()
    _create_scores()
    _create_leases()
    _create_annotations()


def _create_images() -> None:
    op.create_table(
        "images",
        sa.Column("id", _text(255), nullable=False),
        _time("added_at"),
        sa.Column("role", sa.String(10), nullable=False),
        sa.Column("present", sa.Boolean, nullable=False),
        sa.Column("unreadable_reason", sa.Text),
        _time("unreadable_at", nullable=True),
        sa.Column("leased_whole", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_images"),
        sa.UniqueConstraint("id", "leased_whole", name="uq_images_id_leased_whole"),
        sa.CheckConstraint("role IN ('training', 'validation')", name=op.f("ck_images_role")),
        sa.CheckConstraint("(unreadable_reason IS NULL) = (unreadable_at IS NULL)", name=op.f("ck_images_unreadable")),
        sqlite_with_rowid=False,
    )


def _create_models() -> None:
    op.create_table(
        "model_versions",
        sa.Column("version", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        _time("created_at"),
        sa.Column("recipe", _text(255), nullable=False),
        sa.Column("labels", sa.JSON, nullable=False),
        sa.Column("metrics", sa.JSON, nullable=False),
        _time("withdrawn_at", nullable=True),
        sa.PrimaryKeyConstraint("version", name="pk_model_versions"),
    )
    op.create_table(
        "rounds",
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("model_version", sa.Integer),
        _time("started_at"),
        sa.PrimaryKeyConstraint("number", name="pk_rounds"),
        sa.ForeignKeyConstraint(["model_version"], ["model_versions.version"], name="fk_rounds_model_version"),
        sa.UniqueConstraint("model_version", name="uq_rounds_model_version"),
    )


def _create_scores() -> None:
    op.create_table(
        "scores",
        sa.Column("image_id", _text(255), nullable=False),
        sa.Column("model_version", sa.Integer, nullable=False),
        sa.Column("measure", _text(64), nullable=False),
        sa.Column("region", _text(64), nullable=False),
        sa.Column("aggregation", _text(64), nullable=False),
        sa.Column("slice_index", sa.Integer, nullable=False),
        sa.Column("value", sa.Double, nullable=False),
        sa.Column("repeats", sa.Integer, nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        _time("created_at"),
        sa.PrimaryKeyConstraint(
            "image_id", "model_version", "measure", "region", "aggregation", "slice_index", name="pk_scores"
        ),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_scores_image_id"),
        sa.ForeignKeyConstraint(["model_version"], ["model_versions.version"], name="fk_scores_model_version"),
        sa.CheckConstraint("slice_index >= -1", name=op.f("ck_scores_slice_index")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_scores_ranking",
        "scores",
        ["model_version", "measure", "region", "aggregation", "slice_index", sa.text("value DESC"), "image_id"],
    )


def _create_leases() -> None:
    op.create_table(
        "leases",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("image_id", _text(255), nullable=False),
        sa.Column("slices", sa.JSON),
        sa.Column("annotator", _text(255), nullable=False),
        sa.Column("strategy", _text(64), nullable=False),
        sa.Column("model_version", sa.Integer),
        sa.Column("score", sa.Double),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("round_number", sa.Integer, nullable=False),
        _time("granted_at"),
        _time("expires_at"),
        _time("ended_at", nullable=True),
        sa.Column("outcome", sa.String(10)),
        sa.PrimaryKeyConstraint("id", name="pk_leases"),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_leases_image_id"),
        sa.ForeignKeyConstraint(["model_version"], ["model_versions.version"], name="fk_leases_model_version"),
        sa.ForeignKeyConstraint(["round_number"], ["rounds.number"], name="fk_leases_round_number"),
        sa.CheckConstraint("outcome IN ('saved', 'expired', 'released')", name=op.f("ck_leases_outcome")),
        sa.CheckConstraint("(ended_at IS NULL) = (outcome IS NULL)", name=op.f("ck_leases_ended")),
    )
    active = sa.text("ended_at IS NULL")
    op.create_index(
        "uq_leases_active_annotator", "leases", ["annotator"], unique=True, sqlite_where=active, postgresql_where=active
    )
    op.create_index("ix_leases_image_id", "leases", ["image_id"])
    op.create_index("ix_leases_round_number", "leases", ["round_number"])
    op.create_table(
        "lease_items",
        sa.Column("image_id", _text(255), nullable=False),
        sa.Column("slice_index", sa.Integer, nullable=False),
        sa.Column("whole", sa.Boolean, nullable=False),
        sa.Column("lease_id", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("image_id", "slice_index", name="pk_lease_items"),
        sa.ForeignKeyConstraint(
            ["image_id", "whole"], ["images.id", "images.leased_whole"], name="fk_lease_items_image_id_whole"
        ),
        sa.ForeignKeyConstraint(["lease_id"], ["leases.id"], name="fk_lease_items_lease_id"),
        sa.CheckConstraint(
            "(whole AND slice_index = -1) OR (NOT whole AND slice_index >= 0)", name=op.f("ck_lease_items_slice_index")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_lease_items_lease_id", "lease_items", ["lease_id"])


def _create_annotations() -> None:
    op.create_table(
        "annotations",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("image_id", _text(255), nullable=False),
        sa.Column("tag", _text(64), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("slices", sa.JSON),
        sa.Column("annotator", _text(255), nullable=False),
        sa.Column("seconds", sa.Double),
        sa.Column("lease_id", sa.Integer),
        sa.Column("round_number", sa.Integer, nullable=False),
        _time("created_at"),
        _time("superseded_at", nullable=True),
        _time("deleted_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_annotations"),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_annotations_image_id"),
        sa.ForeignKeyConstraint(["lease_id"], ["leases.id"], name="fk_annotations_lease_id"),
        sa.ForeignKeyConstraint(["round_number"], ["rounds.number"], name="fk_annotations_round_number"),
        sa.UniqueConstraint("image_id", "tag", "version", name="uq_annotations_image_id_tag_version"),
    )
    current = sa.text("superseded_at IS NULL AND deleted_at IS NULL")
    op.create_index(
        "uq_annotations_current",
        "annotations",
        ["image_id", "tag"],
        unique=True,
        sqlite_where=current,
        postgresql_where=current,
    )
    op.create_index("ix_annotations_round_number", "annotations", ["round_number"])
    op.create_table(
        "model_annotations",
        sa.Column("model_version", sa.Integer, nullable=False),
        sa.Column("annotation_id", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("model_version", "annotation_id", name="pk_model_annotations"),
        sa.ForeignKeyConstraint(
            ["model_version"], ["model_versions.version"], name="fk_model_annotations_model_version"
        ),
        sa.ForeignKeyConstraint(["annotation_id"], ["annotations.id"], name="fk_model_annotations_annotation_id"),
        sqlite_with_rowid=False,
    )
