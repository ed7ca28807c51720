"""Requests of the module, to a small server of the test."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from self_signed import certificate_for

from ActiveLabelLib.errors import CancelledError, ClientError, RefusedError, SilentError
from ActiveLabelLib.server import breaking
from ActiveLabelLib.server.breaking import Breaker
from ActiveLabelLib.server.connection import Connection, checked_address

PATIENCE_SECONDS = 60.0
PREPARED: dict[str, tuple[int, Any]] = {
    "/page": (200, None),
    "/between": (503, None),
    "/full": (503, {"detail": "the ledger does not answer"}),
}
"""The status and content for some addresses."""


class Answers(BaseHTTPRequestHandler):
    """A server with a login, whose first token ends at once."""

    tokens: list[str]
    seen: list[tuple[str, str, bytes]]
    readers: list[str | None]
    projects: list[str | None]
    both: threading.Barrier | None = None
    """Refuses two requests at once, where it is set."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.seen.append((self.command, self.path, body))
        self.readers.append(self.headers.get("X-ActiveLabel-Reader"))
        self.projects.append(self.headers.get("X-ActiveLabel-Project"))
        if self.path == "/auth/":
            self._send(200, {"enabled": True})
        elif self.path == "/auth/token":
            self.tokens.append(f"token{len(self.tokens)}")
            self._send(200, {"access_token": self.tokens[-1]})
        elif self.path.startswith("/elsewhere"):
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/takes-the-token")
            self.end_headers()
        elif self.path.startswith("/half"):
            self.send_response(200)
            self.send_header("Content-Disposition", 'attachment; filename="case7.nii.gz"')
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"voxels")
        elif self.path.startswith("/above"):
            self.send_response(200)
            self.send_header("Content-Disposition", 'attachment; filename=".."')
            self.end_headers()
            self.wfile.write(b"voxels")
        elif self.path.startswith("/file"):
            self.send_response(200)
            self.send_header("Content-Disposition", 'attachment; filename="../../case7.nii.gz"')
            self.end_headers()
            self.wfile.write(b"voxels")
        elif self.headers.get("Authorization") != "Bearer token1":
            if self.both is not None:
                self.both.wait(PATIENCE_SECONDS)
            self._send(401, {"detail": "the session has ended: log in again"})
        elif self.path.startswith("/wrong"):
            self._send(409, {"detail": "image 'case7' is under review\nby rev"})
        else:
            self._send(*PREPARED.get(self.path, (200, {"path": self.path})))

    do_GET = do_POST = do_PUT = _answer  # names of the standard library

    def _send(self, status: int, content: Any) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if content is None else "application/json")
        self.end_headers()
        self.wfile.write(b"<html>" if content is None else json.dumps(content).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def handler() -> type[Answers]:
    return type("HandlerOfThisTest", (Answers,), {"tokens": [], "seen": [], "readers": [], "projects": []})


@pytest.fixture
def address(handler: type[Answers]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def connection(address: str) -> Connection:
    made = Connection(address, "ann", "secret")
    made.log_in()
    return made


def test_a_token_that_has_ended_is_exchanged_without_a_question(connection: Connection, handler: type[Answers]) -> None:
    assert connection.get("/info", {"image": "Fälle 7", "none": None}) == {"path": "/info?image=F%C3%A4lle+7"}
    assert handler.tokens == ["token0", "token1"]
    assert b"grant_type=password" in next(body for _, path, body in handler.seen if path == "/auth/token")


def test_a_refusal_has_the_servers_own_line(connection: Connection) -> None:
    with pytest.raises(RefusedError) as error:
        connection.post("/wrong", {})
    assert (error.value.status, str(error.value)) == (409, "image 'case7' is under review by rev")


def test_a_proxy_whose_server_does_not_answer_is_no_refusal_and_the_servers_own_line_is(connection: Connection) -> None:
    with pytest.raises(SilentError, match="what is in between says 503"):
        connection.post("/between", {})
    with pytest.raises(RefusedError, match="the ledger does not answer"):
        connection.post("/full", {})


def test_whose_work_it_is_is_said_once_the_server_has_said_who_is_logged_in(
    connection: Connection, handler: type[Answers]
) -> None:
    connection.get("/info")
    connection.reader = "Jörg@clinic"
    connection.post("/label", {})
    assert set(handler.readers[:-1]) == {None}
    assert handler.readers[-1] == "J%C3%B6rg%40clinic"


def within(breaker: Breaker, request: Callable[..., Any], *asked: Any) -> Any:
    """Ask for something in an errand that a breaker breaks off."""
    with breaker.of_this_thread():
        return request(*asked)


@pytest.mark.parametrize("begins", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nvox"])
def test_a_request_is_broken_off_from_another_thread_before_and_amid_its_answer(tmp_path: Path, begins: bytes) -> None:
    """The server answers nothing, or the beginning of a file."""
    breaker = Breaker()
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as beside:
        connection = Connection(f"http://127.0.0.1:{listening.getsockname()[1]}")
        asked = beside.submit(within, breaker, connection.download, "/file", {}, tmp_path, 600.0)
        line, _ = listening.accept()
        with line:
            line.recv(4096)
            line.sendall(begins)
            breaker.cancel()
            with pytest.raises(CancelledError, match=r"^cancelled$"):
                asked.result(PATIENCE_SECONDS)


def test_after_a_cancel_nothing_more_is_asked_in_the_same_errand_and_everything_in_others(
    connection: Connection, handler: type[Answers]
) -> None:
    connection.get("/info")
    before, breaker = len(handler.seen), Breaker()
    breaker.cancel()
    for request in (connection.get, connection.log_in):
        with pytest.raises(CancelledError):
            within(breaker, request, *(["/info"] if request == connection.get else []))
    assert len(handler.seen) == before
    assert within(Breaker(), connection.get, "/info") == {"path": "/info"}


def test_a_connection_that_is_not_made_is_given_up_soon_whatever_its_answer_may_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the library does it, a connection may take as long as the answer: here ten minutes."""
    monkeypatch.setattr(breaking, "CONNECT_SECONDS", 0.2)
    seconds: list[float] = []

    def never(address: Any, timeout: float, *_: Any, **__: Any) -> Any:
        seconds.append(timeout)
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", never)
    with pytest.raises(SilentError, match="timed out"):
        Connection("http://127.0.0.1:9").get("/info", None, 600.0)
    breaker = Breaker()

    def cancelled_meanwhile(*_: Any, **__: Any) -> Any:
        breaker.cancel()
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", cancelled_meanwhile)
    with pytest.raises(CancelledError):
        within(breaker, Connection("http://127.0.0.1:9").get, "/info", None, 600.0)
    assert seconds == [0.2]


def test_a_line_of_tls_stays_encrypted_while_it_is_broken_off(tmp_path: Path) -> None:
    certificate, key = certificate_for("127.0.0.1", tmp_path)
    ours, theirs = ssl.create_default_context(cafile=str(certificate)), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(certificate, key)
    breaker = Breaker()
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as beside:
        accepted = beside.submit(lambda: theirs.wrap_socket(listening.accept()[0], server_side=True))
        plain = socket.create_connection(listening.getsockname())
        with ours.wrap_socket(plain, server_hostname="127.0.0.1") as line, accepted.result(PATIENCE_SECONDS):
            breaker.connected(line)
            breaker.cancel()
            assert line.version() is not None, "the library takes it for a line without TLS"


def test_a_request_by_tls_is_broken_off(tmp_path: Path) -> None:
    certificate, key = certificate_for("127.0.0.1", tmp_path)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(certificate, key)
    breaker = Breaker()
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as beside:
        connection = Connection(f"https://127.0.0.1:{listening.getsockname()[1]}", certificate=str(certificate))
        asked = beside.submit(within, breaker, connection.get, "/info", None, 600.0)
        with theirs.wrap_socket(listening.accept()[0], server_side=True) as line:
            line.recv(4096)
            breaker.cancel()
            with pytest.raises(CancelledError):
                asked.result(PATIENCE_SECONDS)


def test_a_busy_server_may_take_longer_for_tls_than_a_line_may_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaking, "CONNECT_SECONDS", 0.2)
    certificate, key = certificate_for("127.0.0.1", tmp_path)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as beside:
        connection = Connection(f"https://127.0.0.1:{listening.getsockname()[1]}", certificate=str(certificate))
        asked = beside.submit(connection.get, "/info", None, PATIENCE_SECONDS)
        plain, _ = listening.accept()
        time.sleep(1.0)
        with theirs.wrap_socket(plain, server_side=True) as line:
            line.recv(4096)
            line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            assert asked.result(PATIENCE_SECONDS) == {}


@pytest.mark.parametrize("begins", [b"\x16\x03", b"CONNECT far.example:443"], ids=["tls", "proxy"])
def test_a_request_is_broken_off_before_tls_or_a_proxy_has_answered(
    begins: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaking, "CONNECT_SECONDS", 600.0)
    breaker = Breaker()
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as beside:
        here = f"127.0.0.1:{listening.getsockname()[1]}"
        for name in ("no_proxy", "NO_PROXY", "HTTPS_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("https_proxy", f"http://{here}")
        connection = Connection("https://far.example" if begins.startswith(b"CONNECT") else f"https://{here}")
        asked = beside.submit(within, breaker, connection.get, "/info", None, 600.0)
        line, _ = listening.accept()
        with line:
            assert line.recv(4096).startswith(begins)
            breaker.cancel()
            with pytest.raises(CancelledError):
                asked.result(PATIENCE_SECONDS)


def test_two_threads_whose_token_has_ended_log_in_once(connection: Connection, handler: type[Answers]) -> None:
    handler.both = threading.Barrier(2)
    with ThreadPoolExecutor(2) as beside:
        answers = [beside.submit(connection.get, f"/info/{number}") for number in range(2)]
        assert [answer.result(PATIENCE_SECONDS) for answer in answers] == [{"path": "/info/0"}, {"path": "/info/1"}]
    assert handler.tokens == ["token0", "token1"]


def test_a_redirect_is_refused_and_does_not_take_the_token_along(connection: Connection) -> None:
    with pytest.raises(RefusedError) as error:
        connection.get("/elsewhere")
    assert error.value.status == 302


def test_a_page_in_the_stead_of_json_is_another_server(connection: Connection) -> None:
    with pytest.raises(ClientError, match="no activelabel server"):
        connection.get("/page")


def test_a_download_stays_in_its_folder(connection: Connection, tmp_path: Path) -> None:
    file = connection.download("/file", {}, tmp_path / "in")
    assert (file, file.read_bytes()) == (tmp_path / "in" / "case7.nii.gz", b"voxels")


def test_half_a_download_is_none(connection: Connection, tmp_path: Path) -> None:
    with pytest.raises(SilentError, match="6 of 100 bytes"):
        connection.download("/half", {}, tmp_path / "in")
    assert not list((tmp_path / "in").iterdir())


def test_a_download_that_is_named_like_a_folder_has_a_name_of_its_own(connection: Connection, tmp_path: Path) -> None:
    assert connection.download("/above", {}, tmp_path / "in") == tmp_path / "in" / "file.nii.gz"


def test_a_file_is_sent_with_its_fields(connection: Connection, handler: type[Answers], tmp_path: Path) -> None:
    file = tmp_path / "Fälle 7.nii.gz"
    file.write_bytes(b"\x00\r\n--voxels")
    connection.put_file("/label", {"image": "case7"}, file, {"params": '{"finished": true}'})
    _, path, body = handler.seen[-1]
    assert path == "/label?image=case7"
    assert b'name="params"\r\n\r\n{"finished": true}\r\n' in body
    assert b'name="label"; filename="label.nii.gz"' in body
    assert b"\r\n\r\n\x00\r\n--voxels\r\n--" in body


def test_a_server_that_is_not_there_is_silent() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(SilentError, match="does not answer"):
            Connection(f"http://127.0.0.1:{taken.getsockname()[1]}").get("/info/")


@pytest.mark.parametrize(
    ("typed", "address"),
    [("localhost:8000/", "http://localhost:8000"), (" https://seg.example/x/ ", "https://seg.example/x")],
)
def test_an_address_may_be_typed_short(typed: str, address: str) -> None:
    assert checked_address(typed) == address


@pytest.mark.parametrize("typed", ["", "ftp://host", "http://", "http://host:port", "http://host?x=1", "file:///etc"])
def test_what_is_no_address_is_refused(typed: str) -> None:
    with pytest.raises(ClientError, match="expected one like http"):
        checked_address(typed)


def test_a_certificate_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "own.pem").write_text("no certificate", encoding="utf-8")
    with pytest.raises(ClientError, match=r"own\.pem: cannot be read"):
        Connection("https://host", certificate=str(tmp_path / "own.pem"))
