"""Requests of the module, to a small server of the test."""

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ActiveLabelLib.errors import ClientError, RefusedError, SilentError
from ActiveLabelLib.server.connection import Connection, checked_address

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
    threading.Thread(target=server.serve_forever, daemon=True).start()
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


def test_a_request_is_broken_off_from_another_thread_before_and_amid_its_answer(tmp_path: Path) -> None:
    """The server answers nothing, or the beginning of a file."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        connection = Connection(f"http://127.0.0.1:{listening.getsockname()[1]}")
        for begins in (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nvox"):
            with ThreadPoolExecutor(1) as beside:
                asked = beside.submit(connection.download, "/file", {}, tmp_path, 600.0)
                line, _ = listening.accept()
                with line:
                    line.recv(4096)
                    line.sendall(begins)
                    while not asked.done():  # the answer may not be read yet
                        connection.cancel()
                        wait([asked], 0.05)
                with pytest.raises(SilentError):
                    asked.result()


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
