"""Doubts: how well a model's uncertainty about a case agreed with its errors, known when the label came back."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "doubts",
        sa.Column("annotation_id", sa.Integer, nullable=False),
        sa.Column("model_version", sa.Integer, nullable=False),
        sa.Column("measure", sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql"), nullable=False),
        sa.Column("correlation", sa.Double),
        sa.Column("wrong_voxels", sa.BigInteger, nullable=False),
        sa.Column("voxels", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("annotation_id", name="pk_doubts"),
        sa.ForeignKeyConstraint(["annotation_id"], ["annotations.id"], name="fk_doubts_annotation_id"),
        sa.ForeignKeyConstraint(["model_version"], ["model_versions.version"], name="fk_doubts_model_version"),
        sa.CheckConstraint("correlation BETWEEN -1 AND 1", name="correlation"),
        sa.CheckConstraint("wrong_voxels BETWEEN 0 AND voxels", name="wrong_voxels"),
        sa.CheckConstraint("correlation IS NULL OR (wrong_voxels > 0 AND wrong_voxels < voxels)", name="defined"),
    )
