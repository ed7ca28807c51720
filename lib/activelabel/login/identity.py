"""Who asks: known by their login, or nobody in particular where none is asked for."""

from contextvars import ContextVar
from dataclasses import dataclass
from enum import IntEnum

from activelabel.store.records import UserRole


class Role(IntEnum):
    """What somebody may do; each may what those before may."""

    ANNOTATOR = 1
    REVIEWER = 2
    MANAGER = 3
    ADMIN = 4

    @property
    def word(self) -> UserRole:
        """As it is written."""
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
    """Somebody who has logged in."""

    name: str
    role: Role


asking: ContextVar[Identity | None] = ContextVar("asking", default=None)
"""Of the request that is being answered; None where nobody has to log in. Set by the guard."""
