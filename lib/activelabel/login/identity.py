"""The user of a request, known by their login; none if no login is required."""

from contextvars import ContextVar
from dataclasses import dataclass
from enum import IntEnum

from activelabel.store.records.people import UserRole


class Role(IntEnum):
    """The roles, in ascending order; each includes the permissions of those before."""

    ANNOTATOR = 1
    REVIEWER = 2
    MANAGER = 3
    ADMIN = 4

    @property
    def word(self) -> UserRole:
        """The name of the role."""
        return _WORDS[self]


_WORDS: dict[Role, UserRole] = {
    Role.ANNOTATOR: "annotator",
    Role.REVIEWER: "reviewer",
    Role.MANAGER: "manager",
    Role.ADMIN: "admin",
}
ROLES: dict[UserRole, Role] = {word: role for role, word in _WORDS.items()}


@dataclass(frozen=True)
class Identity:
    """A user who has logged in."""

    name: str
    role: Role


asking: ContextVar[Identity | None] = ContextVar("asking", default=None)
"""The user of the current request; None if no login is required. The guard sets it."""
