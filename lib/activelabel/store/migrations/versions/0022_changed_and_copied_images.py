"""What tells of images that were changed or copied.

When the entry of an image's file last changed, since a header may be edited and the file's time put back; and an index
by which the label of another image of the same content is found.
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("images", sa.Column("file_changed_ns", sa.BigInteger, nullable=True))
    known = sa.text("image_sha256 IS NOT NULL")
    op.create_index(
        "ix_annotations_image_sha256", "annotations", ["image_sha256"], sqlite_where=known, postgresql_where=known
    )
