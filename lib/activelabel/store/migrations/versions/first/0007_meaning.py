"""Meaning of values and files: names kept with each label, facts of the project, image files as first read."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("annotations", sa.Column("label_names", sa.JSON(none_as_null=True)))
    op.add_column("annotations", sa.Column("image_sha256", sa.String(64)))
    op.add_column("images", sa.Column("content_sha256", sa.String(64)))
    op.add_column("images", sa.Column("file_size", sa.BigInteger))
    op.add_column("images", sa.Column("file_modified_ns", sa.BigInteger))
    op.add_column("images", sa.Column("intensities", sa.JSON(none_as_null=True)))
    op.add_column("images", sa.Column("set_aside_stamp", sa.Text))
    op.create_table(
        "facts",
        sa.Column("name", sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"), nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_facts"),
    )
