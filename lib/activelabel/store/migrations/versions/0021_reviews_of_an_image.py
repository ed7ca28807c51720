"""An index by which the reviews of an image are found, so that a saved label does not read those of all others."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_reviews_image_id", "reviews", ["image_id"])
