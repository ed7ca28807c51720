"""HTTP session for a PACS: accepts answers only from the PACS itself, with limits on size and time."""

import time
from collections.abc import Iterator
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import psutil
import requests
from dicomweb_client.session_utils import create_session_from_gcp_credentials, create_session_from_user_pass
from monailabel.config import settings as host_settings
from requests.adapters import HTTPAdapter

CONNECT_SECONDS = 3.0
CONNECTIONS = 16  # a viewer asks for many slices at once
LARGEST_LISTING_BYTES = 2**28
"""Size limit of a JSON answer, in which a series takes one or two kilobytes."""
SLOWEST_BYTES_PER_SECOND = 1024
_CHUNK = 2**16


class RefusedAnswerError(requests.RequestException):
    """An answer is refused: it comes from another host, is too large, or too slow. The text says which."""


class _Raw(Protocol):
    """The body of an answer, as `requests` reads it."""

    def read1(self, amt: int, decode_content: bool | None = ...) -> bytes: ...


class BoundedAdapter(HTTPAdapter):
    """Limits the time of every request and the size of its answer; `requests` alone has no limits.

    A redirect to another host is not followed: it could be a host that only this machine reaches.
    """

    def __init__(self, url: str, read_seconds: float, largest_bytes: int) -> None:
        """Accept requests to the PACS at `url` only."""
        super().__init__(pool_maxsize=CONNECTIONS)
        self._origin = _origin(url)
        self._read_seconds = read_seconds
        self._largest_bytes = largest_bytes

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        """Send a request with the limits.

        Raises:
            RefusedAnswerError: the request is for another host, or the answer says that it is too large.
        """
        if _origin(str(request.url)) != self._origin:
            raise RefusedAnswerError(f"it sends us elsewhere ({_origin(str(request.url))[:100]})")
        in_json = "json" in str(request.headers.get("accept", ""))
        limit = min(LARGEST_LISTING_BYTES, self._largest_bytes) if in_json else self._largest_bytes
        if not in_json:
            # Orthanc takes 46 ms to pack a slice of 131 kB and 8 ms to send it as it is. Packed it has half of its
            # bytes, which pays only on a line that is slower than some 12 Mbit/s (docs/results.md).
            request.headers["Accept-Encoding"] = "identity"
        timeout = (CONNECT_SECONDS, self._read_seconds)
        response = super().send(request, **{**options, "stream": True, "timeout": timeout})
        response.raw = cast(Any, _BoundedBody(response.raw, limit, self._read_seconds))
        return response


class _BoundedBody:
    """The body of an answer; raises an error when it is too large or too slow, and else acts as the wrapped body."""

    def __init__(self, raw: _Raw, limit: int, patience_seconds: float) -> None:
        self._raw, self._limit, self._patience_seconds = raw, limit, patience_seconds
        self._began = time.monotonic()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def stream(self, amt: int = _CHUNK, decode_content: bool | None = None) -> Iterator[bytes]:
        """The bytes of the body in parts, decompressed if `decode_content`."""
        count = 0
        while part := self._raw.read1(
            min(amt, _CHUNK), decode_content=decode_content
        ):  # `read1` does not wait for more bytes
            count += len(part)
            if count > self._limit:
                raise RefusedAnswerError(f"it has more than {self._limit:,} bytes")
            if len(part) > psutil.virtual_memory().available // 4:
                raise RefusedAnswerError("it has more bytes than memory is free")
            seconds = time.monotonic() - self._began
            if seconds > self._patience_seconds and count < seconds * SLOWEST_BYTES_PER_SECOND:
                raise RefusedAnswerError(f"it brought {count:,} bytes in {seconds:.0f} s")
            yield part


def open_session(url: str, read_seconds: float, largest_bytes: int) -> requests.Session:
    """A session with the host's login data and with limits on every answer."""
    username, password = host_settings.MONAI_LABEL_DICOMWEB_USERNAME, host_settings.MONAI_LABEL_DICOMWEB_PASSWORD
    if "googleapis.com" in url:
        session = create_session_from_gcp_credentials()
    elif username and password:
        session = create_session_from_user_pass(username, password)
    else:
        session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, BoundedAdapter(url, read_seconds, largest_bytes))
    return session


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}".lower()
