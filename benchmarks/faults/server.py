"""The processes that are killed and started again: a server with its children, and a database server."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import psycopg
import requests

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 240.0
CHILDREN = {
    "training": ("train", "segmentation"),
    "proxy": ("train", "proxy"),
    "scoring": ("scoring", ""),
}
"""The kinds of children of the server, by the method and the name of the request in their command lines."""


def wait_for(condition: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> float:
    """The seconds until `condition` holds.

    Raises:
        TimeoutError: it does not hold in time.
    """
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"waited {seconds:.0f} s for {what} in vain")
        time.sleep(0.1)
    return time.monotonic() - began


def free_port() -> int:
    """A port on which no process listens now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Server:
    """`monailabel start_server` on a studies folder; its output is appended to `log`."""

    def __init__(self, studies: Path, conf: Mapping[str, object], log: Path, environment: Mapping[str, str]) -> None:
        self.address = f"http://127.0.0.1:{free_port()}"
        self.log = log
        options = [part for key, value in conf.items() for part in ("--conf", key, str(value))]
        place = ["--host", "127.0.0.1", "--port", self.address.rpartition(":")[2]]
        app = ["--app", str(ROOT / "apps" / "activelabel"), "--studies", str(studies)]
        self._command = [sys.executable, "-m", "monailabel.main", "start_server", *app, *place, *options]
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT / "lib"), "OMP_NUM_THREADS": "1", **environment}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start it; return the seconds until it answers.

        Raises:
            RuntimeError: it ended instead.
            TimeoutError: it does not answer.
        """
        for folder in (
            "model",
            "lib",
            "logs",
            "bin",
        ):  # The host makes them, and two servers at once would both try.
            (ROOT / "apps" / "activelabel" / folder).mkdir(exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, env=self._environment)
        return wait_for(self.answers, "the server to answer")

    def answers(self) -> bool:
        """Whether the server answers; if it ended by itself, that is an error."""
        assert self._process is not None
        if self._process.poll() is not None:
            end = self.log.read_text(errors="replace")[-3000:]
            raise RuntimeError(f"the server ended with {self._process.returncode}:\n{end}")
        try:
            return requests.get(f"{self.address}/info/", timeout=20).ok
        except requests.RequestException:
            return False

    def children(self, kind: str | None = None) -> list[psutil.Process]:
        """Its children of one kind, or all children."""
        assert self._process is not None
        try:
            found = psutil.Process(self._process.pid).children(recursive=True)
            return [child for child in found if kind is None or _is(child, kind)]
        except psutil.NoSuchProcess:
            return []

    def kill(self) -> None:
        """Kill it (SIGKILL); its children notice and end by themselves, starting ones after their start.

        Raises:
            RuntimeError: a child outlived it.
        """
        assert self._process is not None
        children = self.children()
        self._process.kill()
        self._process.wait()
        _, alive = psutil.wait_procs(children, timeout=PATIENCE_SECONDS)
        if alive:
            raise RuntimeError(f"children outlived their server: {[child.pid for child in alive]}")

    def end(self) -> None:
        """End it and everything that it started, whatever its state."""
        if self._process is not None:
            for child in self.children():
                child.kill()
            self._process.kill()
            self._process.wait()


def _is(child: psutil.Process, kind: str) -> bool:
    method, named = CHILDREN[kind]
    try:
        command = child.cmdline()
    except psutil.Error:
        return False
    return method in command and (not named or any(f'"{named}"' in part for part in command))


class PostgreSQL:
    """A PostgreSQL server of its own, with the default durability."""

    def __init__(self) -> None:
        """Make and start one with an empty database.

        Raises:
            RuntimeError: PostgreSQL is not installed.
        """
        binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        if not binaries:
            raise RuntimeError("PostgreSQL is not installed: no /usr/lib/postgresql/*/bin")
        self._postgres = binaries[-1] / "postgres"
        self._user = "postgres" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root.
        self.folder = Path(tempfile.mkdtemp(prefix="faults-postgresql-"))
        if self._user:
            shutil.chown(self.folder, self._user, self._user)
        password = secrets.token_hex(8)
        (self.folder / "password").write_text(password)
        (self.folder / "password").chmod(0o644)
        make: list[str | Path] = [
            binaries[-1] / "initdb",
            "-D",
            self.folder / "data",
            "-U",
            "tester",
            "-A",
            "scram-sha-256",
        ]
        make += ["--pwfile", self.folder / "password", "--encoding=UTF8"]
        subprocess.run(make, user=self._user, cwd=self.folder, check=True, capture_output=True)
        self._port = free_port()
        self._address = f"postgresql://tester:{password}@127.0.0.1:{self._port}"
        self.url = f"{self._address}/faults"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()
        with psycopg.connect(f"{self._address}/postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE faults")

    def start(self) -> float:
        """Start it; return the seconds until it answers."""
        command: list[str | Path] = [self._postgres, "-D", self.folder / "data", "-p", str(self._port)]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.folder}"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, user=self._user, cwd=self.folder, stdout=log, stderr=log)
        return wait_for(self._answers, "PostgreSQL to answer")

    def kill(self) -> None:
        """Kill it (SIGKILL), and wait for the end of its workers."""
        assert self._process is not None
        workers = psutil.Process(self._process.pid).children(recursive=True)
        self._process.kill()
        self._process.wait()
        psutil.wait_procs(workers, timeout=60)

    def end(self) -> None:
        """Stop it, and remove its folder."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()
        shutil.rmtree(self.folder)

    def _answers(self) -> bool:
        try:
            psycopg.connect(f"{self._address}/postgres").close()
        except psycopg.OperationalError:
            return False
        return True
