"""Limits on uploads: bytes per request, concurrent uploads, and uploads per minute from one address.

This wrapper runs after the access checks and before any code that reads a request body, since the host writes a body
to disk before a route can check it.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_JSON_BYTES = 2**20
LARGEST_STORED_BYTES = 2**29
"""Limit of a store request to the PACS, which the server holds in memory. A SEG takes one bit per voxel."""
MINUTE_SECONDS = 60.0
PATIENCE_SECONDS = 60.0
"""How long a request may take to come, however short it is."""
SLOWEST_BYTES_A_SECOND = 1024
"""After that, what must have come of it: a few slow clients would otherwise take all turns for uploads, for ever."""


@dataclass(frozen=True)
class UploadLimits:
    """The limits. A large CT has 512 x 512 x 2000 voxels, and its uncompressed label one or two bytes per voxel."""

    largest_bytes: int
    at_once: int
    per_minute: int


class UploadGuard:
    """ASGI wrapper that answers requests beyond the limits with 408, 413 or 429 and one line."""

    def __init__(self, app: ASGIApp, limits: UploadLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._limits = limits
        self._clock = clock
        self._now_running = 0
        self._begun: dict[str, deque[float]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request to the app, or refuse it."""
        if scope["type"] != "http" or scope["method"] not in ("POST", "PUT", "PATCH"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        most = self._largest(scope["path"], headers)
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > most:
            await _answer(send, 413, too_large(most))
            return
        if not _is_upload(headers):
            await _BoundedRequest(most).run(self._app, scope, receive, send)
            return
        client = (scope.get("client") or ("",))[0]
        reason = self._refusal(client)
        if reason is not None:
            await _answer(send, 429, reason)
            return
        self._now_running += 1
        try:
            await _BoundedRequest(most).run(self._app, scope, receive, send)
        finally:
            self._now_running -= 1

    def _largest(self, path: str, headers: Mapping[str, str]) -> int:
        if _is_json(headers) and not path.startswith("/proxy/"):
            return min(LARGEST_JSON_BYTES, self._limits.largest_bytes)
        largest = self._limits.largest_bytes
        return min(LARGEST_STORED_BYTES, largest) if path.startswith("/proxy/") else largest

    def _refusal(self, client: str) -> str | None:
        """Why another upload of a client is refused now, or None; an accepted upload is counted."""
        if self._now_running >= self._limits.at_once:
            return (
                f"{self._limits.at_once} uploads are running, as many as may at once (--conf uploads_at_once): send "
                "it again in a moment"
            )
        now = self._clock()
        self._begun = {name: times for name, times in self._begun.items() if now - times[-1] < MINUTE_SECONDS}
        times = self._begun.setdefault(client, deque())
        while times and now - times[0] >= MINUTE_SECONDS:
            times.popleft()
        if len(times) >= self._limits.per_minute:
            return (
                f"{self._limits.per_minute} uploads came from here within a minute, as many as may (--conf "
                "uploads_per_minute): send it again in a moment"
            )
        times.append(now)
        return None


class _RefusedError(Exception):
    """A request has more bytes than allowed, or comes too slowly; the error ends the reading of its body."""


class _BoundedRequest:
    """A request whose body is read up to a limit, and not for ever.

    Beyond the limit the answer is 413, and 408 for a body that comes too slowly, whatever the app answers.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0
        self._waited = 0.0
        self._read = False
        self._answered = False
        self._refusal: tuple[int, str] | None = None

    async def run(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app with the limits."""

        async def bounded_receive() -> Message:
            message = await (receive() if self._read else self._in_time(receive))
            self._read = self._read or not message.get("more_body", False)
            self._count += len(message.get("body", b""))
            if self._count > self._most:
                self._refuse(413, too_large(self._most))
            return message

        async def bounded_send(message: Message) -> None:
            if self._refusal is not None and not self._answered:
                return
            self._answered = True
            await send(message)

        try:
            await app(scope, bounded_receive, bounded_send)
        except Exception:
            if self._refusal is None or self._answered:
                raise
        if self._refusal is not None and not self._answered:
            await _answer(send, *self._refusal)

    async def _in_time(self, receive: Receive) -> Message:
        """The next message, if the client is not too slow."""
        begun = time.monotonic()
        left = max(PATIENCE_SECONDS, self._count / SLOWEST_BYTES_A_SECOND) - self._waited
        try:
            return await asyncio.wait_for(receive(), max(left, 0))
        except (TimeoutError, asyncio.TimeoutError):
            self._refuse(408, f"the request came too slowly ({self._count:,} bytes so far): send it again")
        finally:
            self._waited += time.monotonic() - begun

    def _refuse(self, status: int, line: str) -> NoReturn:
        self._refusal = (status, line)
        raise _RefusedError(line)


def too_large(most: int) -> str:
    """The line for a request that is too large."""
    return (
        f"the request has more than the {most:,} bytes that may be sent here: compress the file (.nii.gz), or start "
        "the server with a larger --conf largest_upload_mb"
    )


def _is_json(headers: Mapping[str, str]) -> bool:
    return "json" in headers.get("content-type", "").partition(";")[0].lower()


def _is_upload(headers: Mapping[str, str]) -> bool:
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    return has_body and not _is_json(headers)


async def _answer(send: Send, status: int, line: str) -> None:
    body = json.dumps({"detail": line}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(b"connection", b"close")] if status in (408, 413) else [(b"retry-after", b"5")]
    start: dict[str, Any] = {"type": "http.response.start", "status": status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})
