"""The tables of people who may log in, and of their sessions."""

from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    Index,
    String,
    Text,
)
from sqlalchemy.orm import Mapped, mapped_column

from activelabel.store.columns import Name, UtcDateTime
from activelabel.store.records.people import UserRole
from activelabel.store.schema.base import Base


class UserRow(Base):
    """A person who may log in with a password; only a slow, salted hash of the password is kept."""

    __tablename__ = "users"
    __table_args__ = (CheckConstraint("role IN ('annotator', 'reviewer', 'manager', 'admin')", name="role"),)

    name: Mapped[str] = mapped_column(Name, primary_key=True)
    role: Mapped[UserRole] = mapped_column(String(10))
    password_hash: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    password_changed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class LoginSessionRow(Base):
    """A login that holds until `expires_at`; logging out deletes the row. Only a hash of its token is kept.

    `provider_role` is the role that a login provider gave the person; NULL: the person is a user of the ledger and has
    their current role there.
    """

    __tablename__ = "login_sessions"
    __table_args__ = (
        CheckConstraint(
            "provider_role IS NULL OR provider_role IN ('annotator', 'reviewer', 'manager', 'admin')", name="role"
        ),
        Index("ix_login_sessions_user_name", "user_name"),
    )

    token_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_name: Mapped[str] = mapped_column(Name)
    provider_role: Mapped[UserRole | None] = mapped_column(String(10))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
