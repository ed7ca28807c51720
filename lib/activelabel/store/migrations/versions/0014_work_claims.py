"""The pieces of work that workers hold."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    name = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")
    op.create_table(
        "work_claims",
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("model_version", sa.Integer, nullable=False),
        sa.Column("item", name, nullable=False),
        sa.Column("worker", name, nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("kind", "model_version", "item", name="pk_work_claims"),
        sa.CheckConstraint("kind IN ('score', 'prepare', 'train', 'race', 'features')", name="kind"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_work_claims_worker", "work_claims", ["worker"])
