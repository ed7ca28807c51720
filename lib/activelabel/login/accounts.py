"""Logins with name and password, and the sessions of all users, including those of a login provider."""

import hashlib
import logging
import secrets
import threading
import time
from dataclasses import dataclass
from datetime import timedelta

from activelabel.errors import InvalidInputError, NotLoggedInError, StorageFullError
from activelabel.login.attempts import Attempts
from activelabel.login.identity import ROLES, Identity, Role
from activelabel.login.passwords import verify_password
from activelabel.login.worker_passes import hash_of
from activelabel.store.ledger import Ledger
from activelabel.store.records.people import User
from activelabel.store.users import checked_user_name

logger = logging.getLogger(__name__)

WRONG = "name or password is wrong"
ENDED = "the login has ended: log in again (in another tab of this browser, if something is not saved yet)"
_CHECKED_SECONDS = 300.0
_MOST_CHECKED = 1000


@dataclass(frozen=True)
class SessionTimes:
    """How long a login is valid.

    Attributes:
        lasts: time from the login to its end in any case.
        idle: time from the last request of a browser, whose user may have left it open; None for no such limit.
    """

    lasts: timedelta
    idle: timedelta | None = None

    @property
    def in_browser(self) -> timedelta:
        """How long the login of a browser is valid before its first request."""
        return self.lasts if self.idle is None else min(self.idle, self.lasts)


class Sessions:
    """Tokens of logged-in users. A token is returned once, at the login; the ledger keeps its hash."""

    def __init__(self, ledger: Ledger, times: SessionTimes, *, by_provider: bool) -> None:
        self._ledger = ledger
        self.times = times
        self._by_provider = by_provider

    def begin(self, who: Identity, lasts: timedelta) -> str:
        """Begin a session and return its token."""
        token = secrets.token_urlsafe(32)
        role = who.role.user_role if self._by_provider else None
        self._ledger.begin_session(hash_of(token), who.name, lasts, role)
        return token

    def find(self, token: str) -> Identity:
        """The user of a token.

        Raises:
            NotLoggedInError: the token is unknown or has expired.
        """
        found = self._ledger.login_session(hash_of(token), by_provider=self._by_provider)
        if found is None and self._ledger.is_worker_session(hash_of(token)):
            return Identity("worker", Role.WORKER)
        if found is None:
            raise NotLoggedInError(ENDED)
        return Identity(found.user_name, ROLES[found.role])

    def find_in_browser(self, token: str) -> Identity:
        """The user of a browser's token; the session is prolonged. Raises as `find`."""
        who = self.find(token)
        if self.times.idle is not None:
            try:
                self._ledger.prolong_session(hash_of(token), self.times.idle, self.times.lasts)
            except StorageFullError:
                logger.warning("the disk is full: the login of %s is not prolonged", who.name)
        return who

    def end(self, token: str) -> None:
        """End the session of this token."""
        self._ledger.end_session(hash_of(token))


class Accounts:
    """Users of the ledger, who log in with a password."""

    def __init__(self, ledger: Ledger, attempts: Attempts) -> None:
        self._ledger = ledger
        self._attempts = attempts
        self._secret = secrets.token_bytes(32)
        self._checked: dict[bytes, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def exist(self) -> bool:
        """Whether there is any user."""
        return self._ledger.has_users()

    def log_in(self, name: str, password: str, machine: str) -> Identity:
        """The user with this name and password.

        Raises:
            NotLoggedInError: there is no such user, or the password is wrong; the line does not say which.
            TooManyError: too many logins have failed lately.
        """
        return _identity(self._check(name, password, machine))

    def log_in_each_time(self, name: str, password: str, machine: str) -> Identity:
        """As `log_in`, for a client that sends name and password with each request.

        To hash it each time would be too slow: a correct password is remembered for some minutes, unless it changes.
        """
        key = hashlib.blake2b(f"{name}:{password}".encode(errors="replace"), key=self._secret).digest()
        known_hash, until = self._checked.get(key, ("", 0.0))
        user = self._ledger.user(name) if until > time.monotonic() else None
        if user is None or user.password_hash != known_hash:
            user = self._check(name, password, machine)
            self._remember(key, user.password_hash)
        return _identity(user)

    def _check(self, name: str, password: str, machine: str) -> User:
        with self._attempts.attempt(name, machine):
            user = self._ledger.user(name) if _can_be_kept(name) else None
            if not verify_password(password, user.password_hash if user else None) or user is None:
                logger.warning("a login as %r from %s failed", name[:80], machine)
                raise NotLoggedInError(WRONG)
        return user

    def _remember(self, key: bytes, password_hash: str) -> None:
        now = time.monotonic()
        with self._lock:
            checked = {k: (h, until) for k, (h, until) in self._checked.items() if until > now}
            self._checked = {} if len(checked) >= _MOST_CHECKED else checked
            self._checked[key] = (password_hash, now + _CHECKED_SECONDS)


def _identity(user: User) -> Identity:
    return Identity(user.name, ROLES[user.role])


def _can_be_kept(name: str) -> bool:
    """Whether a user may have such a name; a database cannot look up some texts."""
    try:
        return checked_user_name(name) == name
    except InvalidInputError:
        return False
