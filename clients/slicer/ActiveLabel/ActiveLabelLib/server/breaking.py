"""How requests are broken off: each errand has a breaker, and what its thread asks of a server looks at it."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ActiveLabelLib.errors import CancelledError, SilentError

CONNECT_SECONDS = 5.0
"""How long a line may take to be made: it cannot be broken off before. What is said on it then has its own time."""
_HERE = threading.local()


class Breaker:
    """Breaks off the requests of one errand, from whichever thread, and no other's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: list[socket.socket] = []
        self._cancelled = False

    @contextmanager
    def of_this_thread(self) -> Iterator[None]:
        """What this thread asks of a server meanwhile can be broken off by this breaker."""
        _HERE.breaker = self
        try:
            yield
        finally:
            del _HERE.breaker

    def cancel(self) -> None:
        """Break off what is asked at the moment, and whatever would be asked after it: it raises `CancelledError`."""
        with self._lock:
            self._cancelled = True
            for line in self._lines:
                _cut(line)

    def connected(self, line: socket.socket) -> None:
        """Note a socket; those that are closed are forgotten."""
        with self._lock:
            self._lines = [one for one in self._lines if one.fileno() >= 0] + [line]
            if self._cancelled:
                _cut(line)

    def check(self) -> None:
        """Go on unless the errand was cancelled.

        Raises:
            CancelledError: it was.
        """
        if self._cancelled:
            raise CancelledError("cancelled")


def breaker_here() -> Breaker:
    """The breaker of this thread; one that nobody pulls, if it runs no errand."""
    found = getattr(_HERE, "breaker", None)
    return found if isinstance(found, Breaker) else Breaker()


@contextmanager
def breakable() -> Iterator[None]:
    """A request: it is not begun in an errand that was cancelled, and what goes wrong in such a one is a cancel."""
    breaker = breaker_here()
    breaker.check()
    try:
        yield
    except SilentError:
        breaker.check()
        raise


def _cut(line: socket.socket) -> None:
    with suppress(OSError):  # it was closed meanwhile
        # A socket of TLS would first forget its encryption, and what is sent next would go out in the clear.
        socket.socket.shutdown(line, socket.SHUT_RDWR)


class Http(urllib.request.HTTPHandler):
    """Notes each socket."""

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        """Open a connection whose socket is noted."""
        return self.do_open(_noting(http.client.HTTPConnection), request)


class Https(urllib.request.HTTPSHandler):
    """Notes each socket, also of TLS."""

    def __init__(self, trusted: ssl.SSLContext) -> None:
        super().__init__(context=trusted)
        trusted.sslsocket_class = _TlsLine
        self._trusted = trusted

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        """Open a connection whose socket is noted."""
        return self.do_open(_noting(http.client.HTTPSConnection), request, context=self._trusted)


def _noting(kind: type[http.client.HTTPConnection]) -> Any:
    """A kind of connection whose line is made soon or not at all, and is known to the thread's breaker."""

    class Noting(kind):  # type: ignore[misc, valid-type]
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            self._create_connection = _line

    return Noting


def _line(address: tuple[str, int], seconds: float, source: tuple[str, int] | None) -> socket.socket:
    """A line on which each answer may take some seconds: that of a proxy, of TLS, and of the server, which is busy."""
    line = socket.create_connection(address, min(seconds, CONNECT_SECONDS), source)
    line.settimeout(seconds)
    breaker_here().connected(line)
    return line


class _TlsLine(ssl.SSLSocket):
    """A line of TLS, which takes the place of the plain one; it is noted before the other side has to answer."""

    def do_handshake(self, block: bool = False) -> None:
        """Agree upon the encryption."""
        breaker_here().connected(self)
        super().do_handshake(block)
