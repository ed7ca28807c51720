"""Password rules and hashes: argon2id with the parameters of RFC 9106 for servers."""

from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from activelabel.errors import InvalidInputError

SHORTEST, LONGEST = 10, 256

_hasher = PasswordHasher()  # argon2id, 64 MiB, 3 passes, 4 lanes, a salt of 16 bytes: the library's defaults


def hash_password(password: str) -> str:
    """The hash of a password, which includes salt and parameters.

    Raises:
        InvalidInputError: the password is too short or too long; the line does not repeat it.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise InvalidInputError(f"password: expected {SHORTEST} to {LONGEST} characters, got {len(password)}")
    return _hasher.hash(password)


def verify_password(password: str, password_hash: str | None) -> bool:
    """Whether the password fits the hash; False for no hash, after the same computing time."""
    try:
        matches = _hasher.verify(password_hash or _nobodys(), password[: LONGEST + 1])
    except (VerificationError, InvalidHashError):
        return False
    return matches and password_hash is not None


@cache
def _nobodys() -> str:
    return _hasher.hash("nobody has this password")
