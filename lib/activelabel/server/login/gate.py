"""The login for the guard and the pages: whether it is required, the user of a request, and their permission."""

import base64
import binascii
import logging
import time
from collections.abc import Callable, Mapping
from urllib.parse import parse_qs

from starlette.requests import Request

from activelabel.errors import ForbiddenError, NotLoggedInError
from activelabel.login.accounts import Accounts, Sessions, SessionTimes
from activelabel.login.attempts import Attempts
from activelabel.login.identity import Identity, Role, asking
from activelabel.login.image_passes import ImagePasses
from activelabel.login.provider import Provider
from activelabel.server.login.cookies import session_tokens
from activelabel.server.login.roles import least_role, permits
from activelabel.store.ledger import Ledger

logger = logging.getLogger(__name__)

SCOPE = "activelabel.login"
"""Key of the ASGI scope under which the guard passes the login to the routes."""
LOG_IN = "log in first"
_LOOK_SECONDS = 2.0
"""Delay until a first user is noticed. Once a login is required, it stays so until the server ends."""


class Login:
    """Access control: users of the login provider, else users of the ledger; everybody if the ledger has none.

    Attributes:
        provider: the login provider, if the server has one.
        accounts: the users of the ledger.
        sessions: the sessions of all logged-in users.
        passes: for images that Slicer fetches without a token; None if such downloads are off.
    """

    def __init__(
        self,
        ledger: Ledger,
        times: SessionTimes,
        provider: Provider | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        slicer_downloads: bool = True,
    ) -> None:
        self.provider = provider
        self.attempts = Attempts(clock)
        self.accounts = Accounts(ledger, self.attempts)
        self.sessions = Sessions(ledger, times, by_provider=provider is not None)
        self.passes = ImagePasses(clock) if slicer_downloads else None
        self._clock = clock
        self._on = provider is not None
        self._looked: float | None = None

    @property
    def may_have_changed(self) -> bool:
        """Whether `is_on` has to ask the ledger."""
        return not self._on and (self._looked is None or self._clock() - self._looked > _LOOK_SECONDS)

    def is_on(self) -> bool:
        """Whether a login is required, which is so if there is a login provider or a user."""
        if self.may_have_changed:
            self._on = self.accounts.exist()
            self._looked = self._clock()
        return self._on

    def admit(self, method: str, path: str, query: str, headers: Mapping[str, str], machine: str) -> Identity | None:
        """The user of a request, who is permitted to make it; None for a request that needs no login.

        Args:
            method: HTTP method of the request.
            path: its path, without the prefix of a proxy.
            query: its query string.
            headers: its headers, with names in lower case.
            machine: address of the client.

        Raises:
            NotLoggedInError: the request has no login data, or they are wrong.
            TooManyError: too many passwords were tried lately.
            ForbiddenError: the role of the user is too low.
        """
        needed = least_role(method, path)
        if needed is None:
            return None
        who = self._who(headers, machine) or self._with_pass(method, path, query, machine)
        if who is None:
            raise NotLoggedInError(LOG_IN)
        if not permits(who.role, method, path):
            if who.role is Role.WORKER:
                raise ForbiddenError(f"{method} {path}: a worker may fetch images and the model, and nothing else")
            raise ForbiddenError(f"{method} {path} takes a higher role than that of {who.name}, {who.role.word}")
        return who

    def log_in(self, name: str, password: str, machine: str) -> Identity:
        """The user of the ledger or the login provider with this name and password.

        Raises:
            NotLoggedInError: name or password is wrong.
            TooManyError: too many logins have failed lately.
            UnavailableError: the login provider does not answer.
        """
        if self.provider is None:
            who = self.accounts.log_in(name, password, machine)
        else:
            with self.attempts.attempt(name, machine):
                who = self.provider.log_in(name, password)
        logger.info("%s, %s, has logged in from %s", who.name, who.role.word, machine)
        return who

    def _who(self, headers: Mapping[str, str], machine: str) -> Identity | None:
        """The user by the header of a program, else by the cookie of a browser; None without both."""
        if "authorization" in headers:
            return self._by_header(headers["authorization"], machine)
        tokens = session_tokens(headers.get("cookie", ""))
        for token in tokens[:-1]:
            try:
                return self.sessions.find_in_browser(token)
            except NotLoggedInError:
                continue  # the cookie of another server on this machine
        return self.sessions.find_in_browser(tokens[-1]) if tokens else None

    def _by_header(self, header: str, machine: str) -> Identity:
        scheme, _, credentials = header.strip().partition(" ")
        credentials = credentials.strip()
        if scheme.lower() == "bearer":
            if self.provider is not None and credentials.count(".") == 2:  # only a token of the provider has dots
                return self.provider.verify(credentials)
            return self.sessions.find(credentials)
        if scheme.lower() == "basic" and self.provider is None:
            return self.accounts.log_in_each_time(*_name_and_password(credentials), machine)
        expected = "Bearer and a token of POST /auth/token" if self.provider else "Bearer and a token, or Basic"
        raise NotLoggedInError(f"Authorization: expected {expected}, got {scheme[:20]!r}")

    def _with_pass(self, method: str, path: str, query: str, machine: str) -> Identity | None:
        if self.passes is None or (method, path) != ("GET", "/datastore/image"):
            return None
        images = parse_qs(query).get("image", [])
        who = self.passes.take(machine, images[0]) if len(images) == 1 else None
        if who is not None:
            logger.info("%s was asked for %s, which goes to %s without a token", who.name, images[0][:80], machine)
        return who


def let_fetch(request: Request, image_id: str) -> None:
    """Give a pass for an image to a client that sends a token: it may be Slicer, whose download sends none."""
    login, who = request.scope.get(SCOPE), asking.get()
    if login is None or login.passes is None or who is None:
        return
    if request.headers.get("authorization", "").lower().startswith("bearer "):
        login.passes.give(request.client.host if request.client else "", image_id, who)


def _name_and_password(encoded: str) -> tuple[str, str]:
    try:
        name, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        colon = ""
    if not colon:
        raise NotLoggedInError("Authorization: Basic must be followed by base64 of name:password, in UTF-8")
    return name, password
