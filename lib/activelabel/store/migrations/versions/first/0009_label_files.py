"""Size and time of each label and draft file: the file is hashed again only if they differ."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("annotations", "drafts"):
        op.add_column(table, sa.Column("file_size", sa.BigInteger))
        op.add_column(table, sa.Column("file_modified_ns", sa.BigInteger))
