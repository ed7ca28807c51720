"""A port is tried before anything is started, and *ready* is printed when this process listens there."""

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from ports import free_port

from activelabel.errors import InvalidInputError
from activelabel.names import APP_FOLDER
from activelabel.server.port import require_free_port, when_listening


@pytest.mark.parametrize("listens", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("asked", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_a_port_in_use_is_refused_at_every_address_that_it_covers(listens: str, asked: str) -> None:
    with socket.create_server((listens, free_port())) as other:
        port = other.getsockname()[1]
        with pytest.raises(InvalidInputError, match=f"^--port {port}: cannot be opened at {asked} .*in use"):
            require_free_port(asked, port)
    require_free_port(asked, port)


def test_a_port_whose_last_connections_are_still_ending_is_free() -> None:
    """The web server can use such a port too, so that a server can be started again at once."""
    server = socket.create_server(("127.0.0.1", free_port()))
    port = server.getsockname()[1]
    client = socket.create_connection(("127.0.0.1", port))
    accepted, _ = server.accept()
    accepted.close()  # this side closes first, and so keeps the port for a while
    client.close()
    server.close()
    with socket.socket() as plain, pytest.raises(OSError, match="in use"):
        plain.bind(("127.0.0.1", port))
    require_free_port("127.0.0.1", port)


def test_ready_is_printed_only_when_this_process_itself_listens() -> None:
    port = free_port()
    script = f"import socket; s = socket.create_server(('127.0.0.2', {port})); print(); input()"
    ready_printed = threading.Event()
    ports: list[int] = []

    def say(port: int) -> None:
        ports.append(port)
        ready_printed.set()

    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        when_listening(port, say, 0.01)
        assert not ready_printed.wait(0.3)
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", port))
            assert not ready_printed.wait(0.3), "a socket that is bound answers nobody"
            bound.listen()
            assert ready_printed.wait(120)
        other.communicate(b"\n")
    assert ports == [port]


def test_the_start_command_of_the_host_says_in_one_line_that_a_port_is_in_use(tmp_path: Path) -> None:
    """The command ends with 2 before it opens the project, and does not print that it is ready."""
    with socket.create_server(("127.0.0.1", free_port())) as other:
        port = other.getsockname()[1]
        place = ["--studies", str(tmp_path), "--host", "127.0.0.1", "--port", str(port), "--conf", "labels", "ball"]
        command = [sys.executable, "-m", "monailabel.main", "start_server", "--app", str(APP_FOLDER), *place]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", cwd=tmp_path, env=os.environ, check=False)
    output = done.stdout + done.stderr
    assert done.returncode == 2, output
    assert len([line for line in output.splitlines() if f"cannot start: --port {port}: cannot be opened" in line]) == 1
    assert "Traceback" not in output
    assert "is ready" not in output
    assert not (tmp_path / "activelabel").exists()
