"""What an annotator sent where it is not what the merged label has, so that a slice which they empty later is emptied.

And when the file of a label or draft was last changed, so that a program which puts its time back is noticed.
"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("annotations", sa.Column("sent_otherwise", sa.JSON(none_as_null=True), nullable=True))
    for table in ("annotations", "drafts"):
        op.add_column(table, sa.Column("file_changed_ns", sa.BigInteger, nullable=True))
