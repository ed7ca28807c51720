"""The login as the guard and its pages use it: whether one is asked for, who a request comes from, may they do it."""

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
from activelabel.login.identity import Identity, asking
from activelabel.login.image_passes import ImagePasses
from activelabel.login.provider import Provider
from activelabel.server.login.cookies import session_tokens
from activelabel.server.login.roles import least_role
from activelabel.store.ledger import Ledger

logger = logging.getLogger(__name__)

SCOPE = "activelabel.login"
"""Under which the guard hands the login to the routes behind it."""
LOG_IN = "log in first"
_LOOK_SECONDS = 2.0
"""How soon a first user is noticed. Once a login is asked for, it is until the server ends."""


class Login:
    """Who gets in. With a login provider its people do, else the users of the ledger; where there are none, everybody.

    Attributes:
        provider: the login provider, if the server has one.
        accounts: the users of the ledger.
        sessions: of all who are logged in.
        passes: for images that Slicer fetches without saying who it is; None: nobody gets an image so.
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
        """Whether somebody has to log in: there is a login provider, or a user."""
        if self.may_have_changed:
            self._on = self.accounts.exist()
            self._looked = self._clock()
        return self._on

    def admit(self, method: str, path: str, query: str, headers: Mapping[str, str], machine: str) -> Identity | None:
        """Who it is that may do this; None for what everybody may.

        Args:
            method: of the request.
            path: its address, without what a proxy puts before it.
            query: what follows the question mark.
            headers: their names in lower case.
            machine: where it comes from.

        Raises:
            NotLoggedInError: it does not say, or what it says is not true.
            TooManyError: too many have tried passwords lately.
            ForbiddenError: they may not.
        """
        needed = least_role(method, path)
        if needed is None:
            return None
        who = self._who(headers, machine) or self._with_pass(method, path, query, machine)
        if who is None:
            raise NotLoggedInError(LOG_IN)
        if who.role < needed:
            raise ForbiddenError(f"{method} {path} takes a higher role than that of {who.name}, {who.role.word}")
        return who

    def log_in(self, name: str, password: str, machine: str) -> Identity:
        """Who it is that knows this password, of the ledger or of the login provider.

        Raises:
            NotLoggedInError: it is wrong.
            TooManyError: too many were wrong lately.
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
        """By a header, which a program sends; else by a cookie, which a browser does."""
        if "authorization" in headers:
            return self._by_header(headers["authorization"], machine)
        tokens = session_tokens(headers.get("cookie", ""))
        for token in tokens[:-1]:
            try:
                return self.sessions.find_in_browser(token)
            except NotLoggedInError:
                continue  # it is another server's of the same machine
        return self.sessions.find_in_browser(tokens[-1]) if tokens else None

    def _by_header(self, header: str, machine: str) -> Identity:
        scheme, _, said = header.strip().partition(" ")
        said = said.strip()
        if scheme.lower() == "bearer":
            if self.provider is not None and said.count(".") == 2:  # a token of ours has no dot, the provider's has two
                return self.provider.verify(said)
            return self.sessions.find(said)
        if scheme.lower() == "basic" and self.provider is None:
            return self.accounts.log_in_each_time(*_name_and_password(said), machine)
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
    """Give a pass for an image to a client that shows a token: it may be Slicer, which does not when it downloads."""
    login, who = request.scope.get(SCOPE), asking.get()
    if login is None or login.passes is None or who is None:
        return
    if request.headers.get("authorization", "").lower().startswith("bearer "):
        login.passes.give(request.client.host if request.client else "", image_id, who)


def _name_and_password(said: str) -> tuple[str, str]:
    try:
        name, colon, password = base64.b64decode(said, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        colon = ""
    if not colon:
        raise NotLoggedInError("Authorization: Basic must be followed by base64 of name:password, in UTF-8")
    return name, password
