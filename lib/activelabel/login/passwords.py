"""Passwords: what one must be, and its hash, by argon2id with the parameters that RFC 9106 gives for a server."""

from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from activelabel.errors import InvalidInputError

SHORTEST, LONGEST = 10, 256

_hasher = PasswordHasher()  # argon2id, 64 MiB, 3 passes, 4 lanes, a salt of 16 bytes: the library's defaults


def hash_password(password: str) -> str:
    """The hash, with its salt and parameters in it.

    Raises:
        InvalidInputError: the password is too short or too long; the line does not repeat it.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise InvalidInputError(f"password: expected {SHORTEST} to {LONGEST} characters, got {len(password)}")
    return _hasher.hash(password)


def verify_password(password: str, password_hash: str | None) -> bool:
    """Whether it is the password of this hash; of no hash it is not, which takes as long to find out."""
    try:
        matches = _hasher.verify(password_hash or _nobodys(), password[: LONGEST + 1])
    except (VerificationError, InvalidHashError):
        return False
    return matches and password_hash is not None


@cache
def _nobodys() -> str:
    return _hasher.hash("nobody has this password")
