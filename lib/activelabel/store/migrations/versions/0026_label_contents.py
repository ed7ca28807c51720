"""The contents of label files until the disk has the files, so that nobody who saves waits for these too."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "label_contents",
        sa.Column("file", sa.Text, primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
