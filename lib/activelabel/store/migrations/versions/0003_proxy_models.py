"""Kinds of models: those of the task, and proxy models, which rank before there is one."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # In words that both databases know: SQLite can give a table that exists a constraint only together with a column.
    op.execute(
        "ALTER TABLE model_versions ADD COLUMN kind VARCHAR(10) DEFAULT 'task' NOT NULL "
        "CONSTRAINT ck_model_versions_kind CHECK (kind IN ('task', 'proxy'))"
    )
