"""States of a case: drafts, skipped cases, and labels that are an unchanged prediction."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _name() -> sa.types.TypeEngine[str]:
    return sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("annotations", sa.Column("unchanged_from", sa.Integer))
    op.create_table(
        "drafts",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("image_id", _name(), nullable=False),
        sa.Column("annotator", _name(), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("slices", sa.JSON),
        sa.Column("reason", sa.String(20), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("lease_id", sa.Integer),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_drafts"),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_drafts_image_id"),
        sa.ForeignKeyConstraint(["lease_id"], ["leases.id"], name="fk_drafts_lease_id"),
        sa.UniqueConstraint("image_id", "version", name="uq_drafts_image_id_version"),
        sa.CheckConstraint("reason IN ('said', 'unconfirmed', 'incomplete', 'unstated')", name="reason"),
    )
    _create_partial_index("uq_drafts_open", "drafts", ["image_id", "annotator"], "ended_at IS NULL")
    op.create_table(
        "skips",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("image_id", _name(), nullable=False),
        sa.Column("annotator", _name(), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("last_lease", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("ended_by", _name()),
        sa.PrimaryKeyConstraint("id", name="pk_skips"),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_skips_image_id"),
        sa.CheckConstraint("kind IN ('not now', 'cannot be annotated')", name="kind"),
        sa.CheckConstraint("(ended_at IS NULL) = (ended_by IS NULL)", name="ended"),
    )
    _create_partial_index(
        "uq_skips_set_aside", "skips", ["image_id"], "kind = 'cannot be annotated' AND ended_at IS NULL"
    )
    op.create_index("ix_skips_annotator", "skips", ["annotator", "last_lease"])


def _create_partial_index(name: str, table: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, unique=True, sqlite_where=where, postgresql_where=where)
