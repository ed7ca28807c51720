"""The user of a request, known by their login; none if no login is required."""

from contextvars import ContextVar
from dataclasses import dataclass
from enum import IntEnum

from activelabel.store.records.people import UserRole


class Role(IntEnum):
    """The roles, in ascending order; each of people's includes the permissions of people's roles before it.

    A worker is no person: it may send the few requests that a worker needs, and no others.
    """

    WORKER = 0
    ANNOTATOR = 1
    REVIEWER = 2
    MANAGER = 3
    ADMIN = 4

    @property
    def word(self) -> str:
        """The name of the role."""
        return _WORDS.get(self, "worker")

    @property
    def user_role(self) -> UserRole:
        """The role as the ledger keeps it. Raises KeyError for that of a worker, which no person has."""
        return _WORDS[self]


_WORDS: dict[Role, UserRole] = {
    Role.ANNOTATOR: "annotator",
    Role.REVIEWER: "reviewer",
    Role.MANAGER: "manager",
    Role.ADMIN: "admin",
}
ROLES: dict[UserRole, Role] = {word: role for role, word in _WORDS.items()}
"""The roles of people."""


@dataclass(frozen=True)
class Identity:
    """A user who has logged in."""

    name: str
    role: Role


asking: ContextVar[Identity | None] = ContextVar("asking", default=None)
"""The user of the current request; None if no login is required. The guard sets it."""
