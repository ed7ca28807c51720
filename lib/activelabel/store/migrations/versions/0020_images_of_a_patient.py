"""An index by which the images of a patient are found, so that one new image does not read a million others."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    known = sa.text("patient IS NOT NULL")
    op.create_index("ix_images_patient", "images", ["patient"], sqlite_where=known, postgresql_where=known)
