"""Kinds of models: models of the task, and proxy models, which rank before there is a model of the task."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # SQL that both databases know: SQLite can add a constraint to an existing table only together with a column.
    op.execute(
        "ALTER TABLE model_versions ADD COLUMN kind VARCHAR(10) DEFAULT 'task' NOT NULL "
        "CONSTRAINT ck_model_versions_kind CHECK (kind IN ('task', 'proxy'))"
    )
