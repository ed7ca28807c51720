"""The slices that a client has named with a draft, so that the draft is finished as a label of these and no others."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("drafts", sa.Column("named_slices", sa.JSON(none_as_null=True), nullable=True))
