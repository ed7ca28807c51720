"""The login of workers: a worker, which can write the ledger, puts a token there that the server accepts."""

import hashlib
import secrets
import threading
import time
from datetime import timedelta

from activelabel.store.ledger import Ledger

LASTS = timedelta(hours=12)
"""How long a token is valid: much longer than it is used, as the clocks of machines differ."""
RENEWED_SECONDS = 3600.0
"""How long a token is used."""


class WorkerPass:
    """The token of a worker for the server of its ledger, with the role `worker`.

    It is made when it is first needed, and replaced after `RENEWED_SECONDS`. The ledger keeps only its hash.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._token = ""
        self._made = 0.0
        self._lock = threading.Lock()

    def __call__(self) -> str:
        """The token that is valid now.

        Raises:
            UnavailableError: the ledger does not answer.
        """
        with self._lock:
            if not self._token or time.monotonic() - self._made > RENEWED_SECONDS:
                token = secrets.token_urlsafe(32)
                self._ledger.begin_worker_session(hash_of(token), LASTS)
                self._token, self._made = token, time.monotonic()  # a request on its way may still have the earlier one
            return self._token

    def renew(self, refused: str) -> None:
        """Have the next call make another token, because the server has refused this one.

        It expired while the machine slept, or the ledger was replaced by an earlier copy. Another thread may have
        replaced the token already; then nothing happens.
        """
        with self._lock:
            if self._token == refused:
                self._token = ""


def hash_of(token: str) -> str:
    """The SHA-256 of a token, by which the ledger knows it."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
