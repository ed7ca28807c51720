"""Reviews of labels, second readings, and the active seconds of queries and labels."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0010"
branch_labels = None
depends_on = None


def _name() -> sa.types.TypeEngine[str]:
    return sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "reviews",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("image_id", _name(), nullable=False),
        sa.Column("annotation_id", sa.Integer, nullable=False),
        sa.Column("reviewer", _name(), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True)),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("outcome", sa.String(10)),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("difficulty", sa.String(10)),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("superseded_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_reviews"),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_reviews_image_id"),
        sa.ForeignKeyConstraint(["annotation_id"], ["annotations.id"], name="fk_reviews_annotation_id"),
        sa.CheckConstraint("outcome IN ('approved', 'returned', 'released', 'expired')", name="outcome"),
        sa.CheckConstraint("difficulty IN ('easy', 'medium', 'hard')", name="difficulty"),
        sa.CheckConstraint("(outcome IS NULL) = (ended_at IS NULL)", name="ended"),
        sa.CheckConstraint("outcome IS NOT NULL OR expires_at IS NOT NULL", name="open"),
    )
    op.create_table(
        "readings",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("image_id", _name(), nullable=False),
        sa.Column("first_id", sa.Integer, nullable=False),
        sa.Column("second_id", sa.Integer, nullable=False),
        sa.Column("structures", sa.JSON, nullable=False),
        sa.Column("agrees", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_readings"),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_readings_image_id"),
        sa.ForeignKeyConstraint(["first_id"], ["annotations.id"], name="fk_readings_first_id"),
        sa.ForeignKeyConstraint(["second_id"], ["annotations.id"], name="fk_readings_second_id"),
        sa.UniqueConstraint("second_id", name="uq_readings_second_id"),
    )
    op.create_index("ix_readings_image_id", "readings", ["image_id"])
    op.add_column("leases", sa.Column("active_seconds", sa.Double))
    op.add_column("annotations", sa.Column("active_seconds", sa.Double))
    _create_partial_index("uq_reviews_open", "image_id", "outcome IS NULL")
    _create_partial_index(
        "uq_reviews_standing", "annotation_id", "outcome IN ('approved', 'returned') AND superseded_at IS NULL"
    )


def _create_partial_index(name: str, column: str, condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, "reviews", [column], unique=True, sqlite_where=where, postgresql_where=where)
