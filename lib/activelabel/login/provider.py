"""Client of an OpenID Connect login provider, such as Keycloak: addresses, tokens, and both ways to get a token.

The settings are the host's, `MONAI_LABEL_AUTH_*`. The host's own check of tokens refuses every token.
"""

import base64
import hashlib
import logging
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import requests

from activelabel.errors import NotLoggedInError, UnavailableError
from activelabel.login.identity import Identity
from activelabel.login.signing_keys import SigningKeys
from activelabel.login.tokens import TokenRules, verify_token

logger = logging.getLogger(__name__)

AWAY = "the login provider does not answer as it must: try again, or tell whoever runs the server"


@dataclass(frozen=True)
class Journey:
    """What a browser keeps during a login at the provider, to prove on return that the same browser began it.

    Attributes:
        state: random text that the provider sends back.
        verifier: random text whose hash the provider received (RFC 7636).
        then: path to open after the login.
    """

    state: str
    verifier: str
    then: str


def new_journey(then: str) -> Journey:
    """A journey with random state and verifier."""
    return Journey(secrets.token_urlsafe(32), secrets.token_urlsafe(48), then)


class Provider:
    """A provider at its realm's address; it is contacted only when needed."""

    def __init__(self, client_id: str, rules: TokenRules, timeout_seconds: float) -> None:
        self.client_id = client_id
        self._rules = rules
        self._timeout_seconds = timeout_seconds
        self._configuration: dict[str, str] | None = None
        self._lock = threading.Lock()
        self._keys = SigningKeys(lambda: self._json("GET", self._address("jwks_uri")))

    @property
    def realm(self) -> str:
        """The address of the realm, which is also the issuer of its tokens."""
        return self._rules.issuer

    def verify(self, token: str) -> Identity:
        """The user of an access token. Raises as `verify_token`."""
        return verify_token(token, self._keys, self._rules)

    def log_in(self, name: str, password: str) -> Identity:
        """The user with this name and password, for a client without a browser.

        Raises:
            NotLoggedInError: the provider refuses name, password or this way to log in, or gives no role.
            UnavailableError: the provider does not answer.
        """
        return self._ask_token({"grant_type": "password", "username": name, "password": password, "scope": "openid"})

    def departure(self, journey: Journey, back: str) -> str:
        """The address at which a browser logs in, to return to the address `back`."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(journey.verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": back,
            "scope": "openid",
            "state": journey.state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        address = self._address("authorization_endpoint")
        return f"{address}{'&' if '?' in address else '?'}{urlencode(query)}"

    def arrival(self, journey: Journey, state: str, code: str, back: str) -> Identity:
        """The user of a browser that has returned from the provider.

        Raises:
            NotLoggedInError: another browser began the login, or the provider does not know the code.
            UnavailableError: the provider does not answer.
        """
        if not secrets.compare_digest(state.encode(), journey.state.encode()):
            raise NotLoggedInError("this login was not begun in this browser: begin it again")
        return self._ask_token(
            {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": back,
                "code_verifier": journey.verifier,
            }
        )

    def _ask_token(self, form: Mapping[str, str]) -> Identity:
        answer = self._json("POST", self._address("token_endpoint"), {"client_id": self.client_id, **form})
        token = answer.get("access_token")
        if not isinstance(token, str):
            reason = str(answer.get("error_description") or answer.get("error") or "it gives no reason")[:200]
            logger.warning("the login provider refuses a login: %s", reason)
            raise NotLoggedInError(f"the login provider refuses this login: {reason}")
        return self.verify(token)

    def _address(self, name: str) -> str:
        """An address from the configuration that the provider lists under its realm."""
        with self._lock:
            if self._configuration is None:
                found = self._json("GET", f"{self.realm}/.well-known/openid-configuration")
                if found.get("issuer") != self.realm:
                    logger.error(
                        "the login provider calls itself %r and MONAI_LABEL_AUTH_REALM_URI is %r: set it to what the "
                        "provider says", found.get("issuer"), self.realm,
                    )  # fmt: skip
                    raise UnavailableError(AWAY)
                self._configuration = {key: value for key, value in found.items() if isinstance(value, str)}
            address = self._configuration.get(name)
        if address is None:
            logger.error("the login provider lists no %s", name)
            raise UnavailableError(AWAY)
        return address

    def _json(self, method: str, address: str, form: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON answer of the provider, including a refusal, which has a 4xx and a reason."""
        try:
            answer = requests.request(
                method, address, data=form, timeout=self._timeout_seconds, allow_redirects=False,
                headers={"Accept": "application/json"},
            )  # fmt: skip
            content = answer.json()
            if not isinstance(content, dict) or not (answer.ok or (form and answer.status_code in (400, 401, 403))):
                raise ValueError(f"status {answer.status_code}")
        except (requests.RequestException, ValueError) as error:
            logger.error("the login provider at %s does not answer as it must: %s", address, error)
            raise UnavailableError(AWAY) from error
        return content
