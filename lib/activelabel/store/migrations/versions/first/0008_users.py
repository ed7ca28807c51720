"""Users with a role and the hash of a password, and their login sessions."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

NAME = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")
ROLES = "'annotator', 'reviewer', 'manager', 'admin'"


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("name", NAME, nullable=False),
        sa.Column("role", sa.String(10), nullable=False),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("password_changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(f"role IN ({ROLES})", name=op.f("ck_users_role")),
        sa.PrimaryKeyConstraint("name", name="pk_users"),
    )
    op.create_table(
        "login_sessions",
        sa.Column("token_sha256", sa.String(64), nullable=False),
        sa.Column("user_name", NAME, nullable=False),
        sa.Column("provider_role", sa.String(10)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(f"provider_role IS NULL OR provider_role IN ({ROLES})", name=op.f("ck_login_sessions_role")),
        sa.PrimaryKeyConstraint("token_sha256", name="pk_login_sessions"),
    )
    op.create_index("ix_login_sessions_user_name", "login_sessions", ["user_name"])
