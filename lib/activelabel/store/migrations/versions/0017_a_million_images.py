"""What keeps events quick with a million images: indexes of the few that differ, and a count of scored ones."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0014"
branch_labels = None
depends_on = None

FEW = {
    "ix_images_validation": "role = 'validation'",
    "ix_images_absent": "NOT present",
    "ix_images_unreadable": "unreadable_reason IS NOT NULL",
    "ix_images_measured": "intensities IS NOT NULL",
    "ix_images_not_read": "content_sha256 IS NULL",
}


def upgrade() -> None:
    for name, condition in FEW.items():
        of_sqlite = sa.text(condition.replace("NOT present", "present = 0"))  # as its queries say it
        op.create_index(name, "images", ["id"], sqlite_where=of_sqlite, postgresql_where=sa.text(condition))
    op.create_table(
        "scored_counts",
        sa.Column("model_version", sa.Integer, nullable=False),
        sa.Column("images", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("model_version", name="pk_scored_counts"),
        sa.ForeignKeyConstraint(["model_version"], ["model_versions.version"], name="fk_scored_counts_model_version"),
    )
    op.execute(
        "INSERT INTO scored_counts SELECT model_version, count(DISTINCT image_id) FROM scores GROUP BY model_version"
    )
