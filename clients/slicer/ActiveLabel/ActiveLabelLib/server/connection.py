"""HTTP requests to the server, by Python's standard library alone."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import ssl
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlencode, urlsplit

from ActiveLabelLib.errors import ClientError, RefusedError, SilentError
from ActiveLabelLib.server.breaking import Http, Https, breakable, breaker_here

ANSWER_SECONDS = 10.0
"""How long a request may take, unless it is about a file or a prediction."""
FILE_SECONDS = 120.0
_BETWEEN = (502, 503, 504)
"""Statuses of a proxy whose server does not answer; the server's own 503 is JSON."""
READER_HEADER = "X-ActiveLabel-Reader"
"""The header that says whose work is sent, percent-encoded."""
PROJECT_HEADER = "X-ActiveLabel-Project"
"""The header that says of which project it is."""
_BROKEN_OFF = (http.client.HTTPException, socket.timeout, TimeoutError, ConnectionError, ssl.SSLError)
"""What is raised amid an answer that does not go on: before Python 3.10 a socket's timeout is no `TimeoutError`."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_LONGEST_LINE = 500

Params = Mapping[str, "str | int | float | list[str] | None"]


class Connection:
    """Requests to one server, with a token where it wants a login.

    Name and password stay in memory, so that an expired token is exchanged without a question. Several threads may ask
    at once; the `Breaker` of each breaks off what it asks.

    Attributes:
        address: `http://HOST:PORT`, without a slash at its end.
        name: the name under which the person works.
        reader: who the server takes the person for, once they have logged in.
        project: the project on which the person works, once it is known: another one at this address refuses all.
    """

    def __init__(self, address: str, name: str = "", password: str = "", certificate: str = "") -> None:
        """Talk to `address` as `name`; `certificate` is a file of certificates that are trusted, for TLS of one's own.

        Raises:
            ClientError: the address is none, or the certificate cannot be read.
        """
        self.address = checked_address(address)
        self.name = name.strip()
        self.reader = ""
        self.project = ""
        self._password = password
        self._token = ""
        self._logging_in = threading.Lock()
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect(), Http()]
        if self.address.startswith("https://"):
            handlers.append(Https(_trusted(certificate)))
        if self.is_local:
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)

    @property
    def is_local(self) -> bool:
        """Whether the server runs on this machine."""
        return urlsplit(self.address).hostname in _LOOPBACK

    def log_in(self) -> bool:
        """Exchange name and password for a token, if the server wants a login; return whether it does.

        Raises:
            RefusedError: name or password is wrong.
            SilentError: the server does not answer.
        """
        with self._logging_in:
            return self._log_in()

    def _log_in(self) -> bool:
        """Log in, with the token before in use until the new one is there: another thread may ask meanwhile."""
        if not self._read_json("GET", "/auth/", as_nobody=True)["enabled"]:
            self._token = ""
            return False
        if not self._password:
            raise RefusedError(401, "this server wants a login: enter name and password")
        form = urlencode({"username": self.name, "password": self._password, "grant_type": "password"}).encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = self._read_json("POST", "/auth/token", body=form, headers=kind, as_nobody=True)
        self._token = str(answer["access_token"])
        return True

    def get(self, path: str, params: Params | None = None, seconds: float = ANSWER_SECONDS) -> Any:
        """The JSON of a `GET`."""
        return self._again_after_login(lambda: self._read_json("GET", _with(path, params), seconds=seconds))

    def post(self, path: str, body: Mapping[str, Any], seconds: float = ANSWER_SECONDS) -> Any:
        """The JSON of a `POST` with a JSON body."""
        content, kind = json.dumps(body).encode(), {"Content-Type": "application/json"}
        return self._again_after_login(lambda: self._read_json("POST", path, content, kind, seconds))

    def put_file(self, path: str, params: Params, file: Path, fields: Mapping[str, str]) -> Any:
        """The JSON of a `PUT` of a form with the file `label` and some text fields."""
        body, kind = _form(file, fields)
        address = _with(path, params)
        return self._again_after_login(lambda: self._read_json("PUT", address, body, kind, FILE_SECONDS))

    def download(
        self, path: str, params: Params, folder: Path, seconds: float = FILE_SECONDS, method: str = "GET"
    ) -> Path:
        """Download a file into `folder`, under the name that the server gives it, and return its path."""
        return self._again_after_login(lambda: self._fetch(method, _with(path, params), folder, seconds))

    def _fetch(self, method: str, path: str, folder: Path, seconds: float) -> Path:
        with breakable(), self._open(method, path, b"" if method == "POST" else None, {}, seconds) as answer:
            name = Path(answer.headers.get_filename() or "").name  # a name alone, never a path
            name = "file.nii.gz" if name in ("", "..") else name
            folder.mkdir(parents=True, exist_ok=True)
            target = folder / name
            try:
                with target.open("wb") as file:
                    shutil.copyfileobj(answer, file)
                    received = file.tell()
            except _BROKEN_OFF as error:
                raise SilentError(f"{self.address} broke off a download ({error or type(error).__name__})") from error
            breaker_here().check()
            whole = answer.headers.get("Content-Length")
            if whole is not None and str(received) != whole.strip():  # the library takes what there is for the whole
                target.unlink()
                raise SilentError(f"{self.address} broke off a download ({received} of {whole} bytes)")
        return target

    def _again_after_login(self, request: Any) -> Any:
        token = self._token
        try:
            return request()
        except RefusedError as error:
            if error.status != 401 or not self._password:
                raise
        with self._logging_in:
            if self._token == token:  # else another thread has logged in meanwhile
                self._log_in()
        return request()

    def _read_json(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = ANSWER_SECONDS,
        *,
        as_nobody: bool = False,
    ) -> Any:
        with breakable(), self._open(method, path, body, headers or {}, seconds, as_nobody=as_nobody) as answer:
            try:
                return json.loads(answer.read())
            except _BROKEN_OFF as error:
                raise SilentError(f"{self.address} broke off its answer ({error or type(error).__name__})") from error
            except ValueError as error:
                raise ClientError(f"{self.address} is no activelabel server: {path} is no JSON there") from error

    def _open(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        seconds: float,
        *,
        as_nobody: bool = False,
    ) -> http.client.HTTPResponse:
        token = "" if as_nobody else self._token
        login = {"Authorization": f"Bearer {token}"} if token else {}
        stated = {READER_HEADER: quote(self.reader, safe="")} if token and self.reader else {}
        project = {PROJECT_HEADER: self.project} if self.project else {}
        sent = {**headers, **login, **stated, **project}
        # The scheme is http or https: see `checked_address`.
        request = urllib.request.Request(self.address + path, data=body, headers=sent, method=method)
        try:
            return self._opener.open(request, timeout=seconds)
        except urllib.error.HTTPError as error:
            with error:
                line = _line(error)
            if error.code in _BETWEEN and "json" not in str(error.headers.get("Content-Type")):
                raise SilentError(f"{self.address} does not answer (what is in between says {error.code})") from None
            raise RefusedError(error.code, line) from None
        except (urllib.error.URLError, *_BROKEN_OFF) as error:
            reason = getattr(error, "reason", None) or error or type(error).__name__
            raise SilentError(f"{self.address} does not answer ({reason})") from error


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it would take the token to another server."""

    def redirect_request(self, *_: Any) -> None:
        """Refuse a redirect, so that it becomes an error."""


def checked_address(text: str) -> str:
    """An address as a person types it, with a scheme and without a path at its end.

    Raises:
        ClientError: it is none.
    """
    typed = text.strip()
    address = (typed if "://" in typed else f"http://{typed}").rstrip("/")
    try:
        parts = urlsplit(address)
        known = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
    except ValueError:
        known = None
    if not known or parts.query or parts.fragment:
        raise ClientError(f"address '{typed}': expected one like http://127.0.0.1:8000")
    return address


def _trusted(certificate: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=certificate or None)
    except (OSError, ssl.SSLError) as error:
        raise ClientError(f"certificate {certificate}: cannot be read ({error}): choose a PEM file") from error


def _with(path: str, params: Params | None) -> str:
    given = {key: value for key, value in (params or {}).items() if value is not None}
    return f"{path}?{urlencode(given, doseq=True)}" if given else path


def _form(file: Path, fields: Mapping[str, str]) -> tuple[bytes, dict[str, str]]:
    """A multipart form with the file `label` and text fields, and its header."""
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    ending = "".join(file.suffixes[-2:])
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="label"; filename="label{ending}"\r\n'
    kind = "Content-Type: application/octet-stream\r\n\r\n"
    body = b"".join([*parts, (head + kind).encode(), file.read_bytes(), f"\r\n--{boundary}--\r\n".encode()])
    return body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}


def _line(error: IO[bytes]) -> str:
    """The server's own line of a refusal."""
    status = getattr(error, "code", 0)
    try:
        text = error.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return f"the server refuses with {status}"
    try:
        answer = json.loads(text)
    except ValueError:  # a proxy in between answers with a page or a text, which is then shown
        answer = None
    detail = answer.get("detail") if isinstance(answer, dict) else None
    if isinstance(detail, list):  # of FastAPI: what is wrong with which field
        detail = "; ".join(str(item.get("msg")) for item in detail if isinstance(item, dict))
    line = " ".join(str(detail or text).split())[:_LONGEST_LINE]
    return line or f"the server refuses with {status}"
