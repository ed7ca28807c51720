"""A real server, started as a user starts it, and talked to by the host's own client."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import requests
from monailabel.client import MONAILabelClient
from ports import free_port

ROOT = Path(__file__).parents[3]
START_SECONDS = 300  # on a machine that is busy with other tests
STOP_SECONDS = 120
PATIENCE_SECONDS = 900.0
HOST, LEAN_HOST = "monailabel.main", "activelabel.server.host_main"


class RunningServer:
    """`monailabel start_server --app apps/activelabel` on a free port of this machine.

    Most tests start it without the optional packages that MONAI imports, which takes much less processor time.

    Attributes:
        client: the host's own client, as an annotator's viewer uses it.
        address: the address at which the server answers.
        host: the started module, the host's own or the lean one.
        log: file with the output of the server and its children.
        by_own_command: whether it is started by `activelabel start`, which is then the host's command.
    """

    def __init__(
        self, studies: Path | str, conf: Mapping[str, object], log: Path, environment: Mapping[str, str]
    ) -> None:
        self.studies = studies
        self.conf = dict(conf)
        self.log = log
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.client = MONAILabelClient(self.address, client_id="ann")
        self.host = LEAN_HOST
        self.certificate: Path | None = None
        self.by_own_command = False
        self._place = ["--host", "127.0.0.1"]
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def listen_everywhere(self, address: str, certificate: Path, key: Path) -> None:
        """Make the server answer over TLS at all addresses of this machine; its clients use `address`."""
        self.address, self.certificate = f"https://{address}:{self.port}", certificate
        self._place = ["--host", "0.0.0.0", "--ssl_certfile", str(certificate), "--ssl_keyfile", str(key)]

    @property
    def command(self) -> list[str]:
        """The command line that starts the server."""
        options = [part for key, value in self.conf.items() for part in ("--conf", key, str(value))]
        place = [*self._place, "--port", str(self.port)]
        if self.by_own_command:
            return [sys.executable, "-m", "activelabel", "start", "--studies", str(self.studies), *place, *options]
        app = ["--app", str(ROOT / "apps" / "activelabel"), "--studies", str(self.studies)]
        return [sys.executable, "-m", self.host, "start_server", *app, *place, *options]

    def start(self) -> "RunningServer":
        """Start the server, and wait until it answers."""
        self._launch()
        self.wait_for(self._answers, "the server to answer", START_SECONDS)
        return self

    def start_in_vain(self) -> tuple[int, str]:
        """Start a server that must not come up, and return its exit code and its output."""
        self._launch()
        assert self._process is not None
        code = self._process.wait(START_SECONDS)
        return code, self.log.read_text(encoding="utf-8", errors="replace")

    def _launch(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=self.log.parent,  # a user starts it from anywhere
                env={**os.environ, **self._environment},
            )

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"the server ended with {self._process.returncode}:\n{self.tail()}")
        try:
            answer = requests.get(
                f"{self.address}/info/", timeout=10, verify=str(self.certificate) if self.certificate else True
            )
            return answer.ok or answer.status_code == 401  # the client may have to log in
        except (requests.ConnectionError, requests.Timeout):
            return False

    @property
    def pid(self) -> int:
        """The process id of the server itself."""
        assert self._process is not None
        return self._process.pid

    def children(self, method: str | None = None) -> list[psutil.Process]:
        """Return the processes that the server started: those of `train` or `scoring`, or all."""
        try:
            processes = psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return [process for process in processes if method is None or method in _command_line(process)]

    def kill(self) -> None:
        """Kill the server as a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """Kill the server and all its children in any state, at the end of a test."""
        if self._process is None:
            return
        children = self.children()
        self._process.kill()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        self._process.wait()

    def stop(self, number: int = signal.SIGINT) -> int:
        """Stop the server as Ctrl-C does, and return its exit code. All its children must have ended."""
        assert self._process is not None
        started = self.children()
        if self._process.poll() is None:
            self._process.send_signal(number)
        code = self._process.wait(STOP_SECONDS)
        _gone, alive = psutil.wait_procs(started, timeout=STOP_SECONDS)
        assert not alive, f"left behind: {[process.cmdline() for process in alive]}"
        return code

    def info(self) -> dict[str, Any]:
        """`GET /info/`."""
        return dict(requests.get(f"{self.address}/info/", timeout=60).json())

    def progress(self) -> dict[str, Any]:
        """Return the progress of the project."""
        return dict(self.info()["progress"])

    def next_sample(self, strategy: str = "random", annotator: str = "ann", **params: object) -> dict[str, Any]:
        """Ask for an annotator's next case through the host's client."""
        client = MONAILabelClient(self.address, client_id=annotator)
        return dict(client.next_sample(strategy, dict(params)))

    def save_label(self, image: str, label: Path, annotator: str = "ann", **params: object) -> dict[str, Any]:
        """Send a label as Slicer does: no tag, and the annotator's name."""
        client = MONAILabelClient(self.address, client_id=annotator)
        return dict(client.save_label(image, str(label), params=dict(params)))

    def wait_for_model(self, version: int) -> None:
        """Wait until the autopilot has published this version and scored all remaining images with it."""

        def settled() -> bool:
            if self.children("train"):
                return False
            progress = self.progress()
            if (progress["latest_model"] or 0) < version:
                return False
            status = requests.get(f"{self.address}/scoring/", timeout=60)
            busy = status.ok and status.json()["status"] in ("SUBMITTED", "RUNNING")
            return not busy and progress["scored"] > 0

        # A training takes long, and each question about its progress slows it down.
        self.wait_for(settled, f"model {version} and its scores", every=1.0)

    def wait_for(
        self, condition: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS, every: float = 0.3
    ) -> None:
        """Wait until `condition` holds, checking it `every` so many seconds, or fail with the end of the log."""
        end = time.monotonic() + seconds
        while not condition():
            assert "times; it rests for" not in self.log.read_text(errors="replace"), self.tail()
            assert time.monotonic() < end, f"waited {seconds:.0f} s for {what} in vain:\n{self.tail()}"
            time.sleep(every)

    def tail(self, characters: int = 6000) -> str:
        """Return the last lines of the log."""
        return self.log.read_text(errors="replace")[-characters:]


def _command_line(process: psutil.Process) -> list[str]:
    """Return the command line of a process, or none if it has ended meanwhile."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []
