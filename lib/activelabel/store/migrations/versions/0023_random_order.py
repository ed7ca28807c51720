"""The place of each image in the order that a seed fixes, with an index, so that a random question reads no pool."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("images", sa.Column("random_seed", sa.Integer, nullable=True))
    op.add_column("images", sa.Column("random_place", sa.BigInteger, nullable=True))
    op.create_index("ix_images_random_place", "images", ["random_seed", "random_place", "id"])
