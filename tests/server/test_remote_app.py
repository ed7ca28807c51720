"""A missing, foreign or failing server ends a simulation with one line."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from activelabel.errors import ActiveLabelError, InvalidInputError, UnavailableError
from activelabel.server.remote_app import RemoteApp

INFO = {"name": "activelabel", "settings": {"labels": ["ball"]}, "model": None}


class InTrouble(BaseHTTPRequestHandler):
    """A server that answers `/info/` and refuses every other request."""

    info = json.dumps(INFO)

    def do_GET(self) -> None:
        """Answer only `/info/`."""
        self._say(*((200, self.info) if self.path == "/info/" else (500, '{"detail": "disk\n full"}')))

    def do_POST(self) -> None:
        """Read the body before the answer, as the client would otherwise see a broken connection."""
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self._say(500, '{"detail": "disk\n full"}')

    do_PUT = do_POST

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def _say(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


@pytest.fixture
def serve() -> Iterator[Callable[[str], ThreadingHTTPServer]]:
    """Start a server with this answer to `/info/`."""
    servers = []

    def start(info: str) -> ThreadingHTTPServer:
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (InTrouble,), {"info": info}))
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


ASKED: dict[str, Callable[[RemoteApp, Path], object]] = {
    "images": lambda app, _: app.images(),
    "ask": lambda app, _: app.ask("entropy"),
    "save": lambda app, file: app.save("case", file, {"annotated_slices": "all"}),
    "segment": lambda app, file: app.segmenter(1)(file),
}


@pytest.mark.parametrize("asked", ASKED)
def test_a_refusal_and_then_silence_are_one_line_each(
    serve: Callable[[str], ThreadingHTTPServer], tmp_path: Path, asked: str
) -> None:
    server = serve(json.dumps(INFO))
    app = RemoteApp(f"http://127.0.0.1:{server.server_port}/", "oracle")
    (tmp_path / "case.nii.gz").write_bytes(b"label")
    with pytest.raises(InvalidInputError, match=r"--server .*: it refuses \(.*500.*disk full") as refused:
        ASKED[asked](app, tmp_path / "case.nii.gz")
    assert "\n" not in str(refused.value)
    server.shutdown()
    server.server_close()
    with pytest.raises(UnavailableError, match=r"--server .*: nobody answers there \(") as silence:
        ASKED[asked](app, tmp_path / "case.nii.gz")
    assert "\n" not in str(silence.value)


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ("<html>", "expected the app activelabel, got another answer"),
        ('{"name": "radiology"}', "expected the app activelabel, got 'radiology'"),
    ],
)
def test_a_server_of_another_kind_is_refused(
    serve: Callable[[str], ThreadingHTTPServer], info: str, expected: str
) -> None:
    with pytest.raises(InvalidInputError, match=expected):
        RemoteApp(f"http://127.0.0.1:{serve(info).server_port}", "oracle")


def test_a_malformed_address_is_refused() -> None:
    with pytest.raises(ActiveLabelError, match=r"--server http://127\.0\.0\.1:port: "):
        RemoteApp("http://127.0.0.1:port", "oracle")
