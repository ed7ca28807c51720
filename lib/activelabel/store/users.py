"""Users who log in with a password, and the sessions of all who are logged in.

The ledger keeps no password and no session token, only their hashes: a person who reads the ledger cannot log in with
them.
"""

from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from activelabel.errors import InvalidInputError, NotFoundError
from activelabel.store.checks import checked_name
from activelabel.store.database import Database
from activelabel.store.lookup import record_of
from activelabel.store.records.people import LoginSession, User, UserRole
from activelabel.store.schema.people import LoginSessionRow, UserRow

_STEPS_OF_IDLE = 30
_WORKER = ":worker"
"""Whose session that of a worker is; nobody can have this name, see `checked_user_name`."""


class Users(Database):
    """The users who may log in, and the login sessions."""

    def users(self) -> list[User]:
        """All users, by name."""
        with self._reading() as session:
            return [record_of(row, User) for row in session.scalars(select(UserRow).order_by(UserRow.name))]

    def user(self, name: str) -> User | None:
        """The user with this name; None if there is none."""
        with self._reading() as session:
            row = session.get(UserRow, name)
            return None if row is None else record_of(row, User)

    def require_user(self, name: str) -> None:
        """Raise an error for a name that no user has.

        Raises:
            NotFoundError: there is no such user; the line names those there are.
        """
        with self._reading() as session:
            _user_row(session, name)

    def has_users(self) -> bool:
        """Whether there is any user."""
        with self._reading() as session:
            return session.scalar(select(UserRow.name).limit(1)) is not None

    def add_user(self, name: str, role: UserRole, password_hash: str) -> None:
        """Add a user, who may then log in.

        Raises:
            InvalidInputError: a user has this name, ignoring case, or the name is invalid.
        """
        checked_user_name(name)
        with self._writing() as session:
            for taken in session.scalars(select(UserRow.name)):
                if taken.casefold() == name.casefold():
                    raise InvalidInputError(f"user '{name}': there is a user '{taken}' already; choose another name")
            now = self._clock()
            session.add(
                UserRow(name=name, role=role, password_hash=password_hash, created_at=now, password_changed_at=now)
            )

    def remove_user(self, name: str) -> None:
        """Remove a user and end their sessions. Their annotations stay under their name.

        Raises:
            NotFoundError: there is no such user; the line names those there are.
        """
        with self._writing() as session:
            session.delete(_user_row(session, name))
            _end_sessions(session, name)

    def set_password_hash(self, name: str, password_hash: str) -> None:
        """Give a user another password, and end their sessions.

        Raises:
            NotFoundError: there is no such user; the line names those there are.
        """
        with self._writing() as session:
            row = _user_row(session, name)
            row.password_hash, row.password_changed_at = password_hash, self._clock()
            _end_sessions(session, name)

    def set_user_role(self, name: str, role: UserRole) -> None:
        """Give a user another role, which also holds for their open sessions.

        Raises:
            NotFoundError: there is no such user; the line names those there are.
        """
        with self._writing() as session:
            _user_row(session, name).role = role

    def begin_session(
        self, token_sha256: str, user_name: str, lasts: timedelta, provider_role: UserRole | None = None
    ) -> datetime:
        """Record a login and return when it expires. Expired sessions are deleted.

        Args:
            token_sha256: the hash of the session token.
            user_name: the user's name.
            lasts: how long the session holds.
            provider_role: the role that a login provider gave the user; None for a user of the ledger.
        """
        now = self._clock()
        with self._writing() as session:
            session.execute(delete(LoginSessionRow).where(LoginSessionRow.expires_at <= now))
            session.add(
                LoginSessionRow(
                    token_sha256=token_sha256,
                    user_name=checked_user_name(user_name),
                    provider_role=provider_role,
                    created_at=now,
                    expires_at=now + lasts,
                )
            )
        return now + lasts

    def login_session(self, token_sha256: str, *, by_provider: bool) -> LoginSession | None:
        """The session with this token; None if it has ended or its user was removed.

        Args:
            token_sha256: the hash of the token in the request.
            by_provider: search the sessions of a login provider instead of those of the ledger's users.
        """
        with self._reading() as session:
            row = session.get(LoginSessionRow, token_sha256)
            if row is None or row.expires_at <= self._clock() or (row.provider_role is not None) != by_provider:
                return None
            if row.provider_role is not None:
                return LoginSession(row.user_name, row.provider_role, row.expires_at)
            user = session.get(UserRow, row.user_name)
            return None if user is None else LoginSession(user.name, user.role, row.expires_at)

    def prolong_session(self, token_sha256: str, idle: timedelta, lasts: timedelta) -> None:
        """Extend a session in use to `idle` from now, but not beyond `lasts` from the login.

        Every request calls this; the ledger is written only if the end moves by at least a thirtieth of `idle`.
        """
        now = self._clock()
        with self._reading() as session:
            row = session.get(LoginSessionRow, token_sha256)
            if row is None or row.expires_at <= now:
                return
            until = min(row.created_at + lasts, now + idle)
            if abs(until - row.expires_at) < idle / _STEPS_OF_IDLE:
                return
        moved = update(LoginSessionRow).where(LoginSessionRow.token_sha256 == token_sha256)
        with self._writing() as session:
            session.execute(moved.where(LoginSessionRow.expires_at > now).values(expires_at=until))

    def begin_worker_session(self, token_sha256: str, lasts: timedelta) -> None:
        """Record the session of a worker, which may write the ledger and therefore needs no password.

        It expires by the database's clock, as the worker's machine may have another one.
        """
        of_workers = LoginSessionRow.user_name == _WORKER
        with self._writing() as session:
            now = self._shared_now(session)
            session.execute(delete(LoginSessionRow).where(of_workers, LoginSessionRow.expires_at <= now))
            session.add(
                LoginSessionRow(
                    token_sha256=token_sha256, user_name=_WORKER, provider_role=None, created_at=now,
                    expires_at=now + lasts,
                )
            )  # fmt: skip

    def is_worker_session(self, token_sha256: str) -> bool:
        """Whether this is the token of a worker's session that has not ended."""
        with self._reading() as session:
            row = session.get(LoginSessionRow, token_sha256)
            return row is not None and row.user_name == _WORKER and row.expires_at > self._shared_now(session)

    def end_session(self, token_sha256: str) -> None:
        """End the session of a user who logs out, or of a worker."""
        with self._writing() as session:
            session.execute(delete(LoginSessionRow).where(LoginSessionRow.token_sha256 == token_sha256))

    def end_sessions(self, user_name: str) -> int:
        """End all sessions of a user and return how many there were."""
        with self._writing() as session:
            return _end_sessions(session, user_name)


def checked_user_name(name: str) -> str:
    """The name itself, if it is valid for a user.

    Raises:
        InvalidInputError: the name is empty, too long, not on one line, or has a colon, which ends a name in HTTP.
    """
    checked_name(name, "user")
    if not name.isprintable() or name != name.strip() or ":" in name:
        raise InvalidInputError(
            f"user {name[:80]!r}: expected a name on one line, without a colon, and no spaces at its ends"
        )
    return name


def _end_sessions(session: Session, user_name: str) -> int:
    of_user = LoginSessionRow.user_name == user_name
    count = session.scalar(select(func.count()).select_from(LoginSessionRow).where(of_user)) or 0
    session.execute(delete(LoginSessionRow).where(of_user))
    return count


def _user_row(session: Session, name: str) -> UserRow:
    row = session.get(UserRow, name)
    if row is None:
        known = ", ".join(session.scalars(select(UserRow.name).order_by(UserRow.name)))
        raise NotFoundError(f"user '{name}': there is none; there are: {known or 'none'}")
    return row
