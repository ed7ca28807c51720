"""People who may log in, as the ledger returns them."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

UserRole = Literal["annotator", "reviewer", "manager", "admin"]


@dataclass(frozen=True)
class User:
    """A person who may log in with a password."""

    name: str
    role: UserRole
    password_hash: str = field(repr=False)
    created_at: datetime
    password_changed_at: datetime


@dataclass(frozen=True)
class LoginSession:
    """A person who is logged in, their current role, and the end of the session."""

    user_name: str
    role: UserRole
    expires_at: datetime
