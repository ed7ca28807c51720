"""The public keys of a login provider's signatures.

The keys are fetched when needed, cached, and fetched again when a token names an unknown key.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from activelabel.errors import NotLoggedInError, UnavailableError

logger = logging.getLogger(__name__)

PublicKey = RSAPublicKey | EllipticCurvePublicKey
ALGORITHMS = ("RS256", "ES256")
"""The accepted signature algorithms; a token with any other is refused."""
KEPT_SECONDS = 3600.0
AGAIN_AFTER_SECONDS = 10.0
"""Time after a request in which few unknown keys are asked for, since anybody can send a token that names one."""
MOST_AT_ONCE = 5
"""So many unknown keys are asked for in that time, each once: a provider may have changed its keys a moment ago."""
_SMALLEST_RSA_BITS = 2048


class SigningKeys:
    """A provider's keys, by algorithm and key id."""

    def __init__(self, fetch: Callable[[], Any], clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._keys: dict[str, dict[str, PublicKey]] = {}
        self._fetched: float | None = None
        self._tried: float | None = None
        self._answered = False
        self._missing: set[tuple[str | None, str]] = set()
        self._lock = threading.Lock()

    def key(self, key_id: str | None, algorithm: str) -> PublicKey:
        """The key with an id and an algorithm.

        Raises:
            NotLoggedInError: the provider has no such key.
            UnavailableError: the provider does not answer, and nothing is known of its keys.
        """
        with self._lock:
            is_old = self._fetched is None or self._clock() - self._fetched > KEPT_SECONDS
            is_unknown = self._find(key_id, algorithm) is None
            if (is_old and self._is_time()) or (is_unknown and self._may_ask_for(key_id, algorithm)):
                self._refresh()
            found = self._find(key_id, algorithm)
            if found is None and len(self._missing) < MOST_AT_ONCE:
                self._missing.add((key_id, algorithm))
        if found is None:
            raise NotLoggedInError("the token is signed with a key that the login provider does not have")
        return found

    def _find(self, key_id: str | None, algorithm: str) -> PublicKey | None:
        """The known key or None; without a key id, the only key of the algorithm."""
        keys = self._keys.get(algorithm, {})
        if key_id is None:
            return next(iter(keys.values())) if len(keys) == 1 else None
        return keys.get(key_id)

    def _is_time(self) -> bool:
        return self._tried is None or self._clock() - self._tried >= AGAIN_AFTER_SECONDS

    def _may_ask_for(self, key_id: str | None, algorithm: str) -> bool:
        """Whether an unknown key may be asked for now: after a while, or at once if it is one of the first."""
        is_new = len(self._missing) < MOST_AT_ONCE and (key_id, algorithm) not in self._missing
        return self._is_time() or (self._answered and is_new)

    def _refresh(self) -> None:
        if self._is_time():
            self._missing.clear()
        self._tried, self._answered = self._clock(), False
        try:
            document = self._fetch()
        except UnavailableError:
            if self._fetched is None:
                self._tried = None  # no key is known yet, so the next request asks again
                raise
            logger.warning("the login provider does not say its keys: those known go on being used")
            return
        self._keys = _usable_keys(document)
        self._fetched, self._answered = self._clock(), True


def _usable_keys(document: Any) -> dict[str, dict[str, PublicKey]]:
    """The signing keys of a document, by algorithm and id; other keys are ignored."""
    keys: dict[str, dict[str, PublicKey]] = {algorithm: {} for algorithm in ALGORITHMS}
    listed = document.get("keys") if isinstance(document, Mapping) else None
    for entry in listed if isinstance(listed, list) else ():
        if not isinstance(entry, Mapping) or entry.get("use", "sig") != "sig":
            continue
        algorithm = {"RSA": "RS256", "EC": "ES256"}.get(str(entry.get("kty")))
        if algorithm is None or entry.get("alg", algorithm) != algorithm:
            continue
        try:
            key = PyJWK(dict(entry), algorithm).key
        except (PyJWTError, ValueError, TypeError) as error:
            logger.warning("a key of the login provider cannot be read: %s", error)
            continue
        if _is_fit(key):
            keys[algorithm][str(entry.get("kid", ""))] = key
    return keys


def _is_fit(key: object) -> bool:
    if isinstance(key, RSAPublicKey):
        return key.key_size >= _SMALLEST_RSA_BITS
    return isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)
