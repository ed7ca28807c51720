"""Run a command that installs packages, and show that it lives: every few seconds a line with what it is at.

python .ci/alive.py python -m pip install --requirement requirements.txt

Knows what pip and apt-get print. What the command printed is shown if it fails, and the exit code is the command's.
"""

import re
import subprocess
import sys
import threading
import time
from collections import deque

EVERY_SECONDS = 5.0
SHOWN_LINES = 40
STEPS = (
    (re.compile(r"\s*Collecting (?P<name>[\w.-]+)"), "looking for {name}"),
    (re.compile(r"\s*Downloading (?:\S*/)?(?P<name>[\w.+-]+\.(?:whl|tar\.gz|zip))(?P<size> \([^)]*\))?"),
     "downloading {name}{size}"),
    (re.compile(r"\s*(?:Using cached|Processing) (?:\S*/)?(?P<name>[\w.+-]+\.(?:whl|tar\.gz|zip))"), "reading {name}"),
    (re.compile(r"\s*Installing build dependencies: (?P<name>started)"), "making ready to build a package"),
    (re.compile(r"\s*Building (?:editable|wheels?) for (?P<name>[\w.-]+)"), "building {name}"),
    (re.compile(r"Installing collected packages: (?P<names>.+)"), "unpacking {count} packages"),
    (re.compile(r"Get:\d+ \S+ \S+ \S+ (?P<name>\S+)"), "downloading {name}"),
    (re.compile(r"Unpacking (?P<name>[\w.+-]+)"), "unpacking {name}"),
    (re.compile(r"Setting up (?P<name>[\w.+-]+)"), "setting up {name}"),
)  # fmt: skip


def step_of(line: str) -> "str | None":
    """What the command is at, as this line says; None for one that says nothing of it."""
    for pattern, words in STEPS:
        found = pattern.match(line)
        if found:
            parts = {key: value or "" for key, value in found.groupdict().items()}
            return words.format(count=len(parts.get("names", "").split(",")), **parts)
    return None


class Teller:
    """Says a step at most every so many seconds, and again while the command is silent."""

    def __init__(self, every_seconds: float) -> None:
        self._every = every_seconds
        self._began = self._told = time.monotonic()
        self._step: str | None = None
        self._lock = threading.Lock()
        self._done = threading.Event()

    def watch(self) -> None:
        """Until `end`."""
        while not self._done.wait(self._every / 10):
            with self._lock:
                if self._step is not None and time.monotonic() - self._told >= self._every:
                    self._tell(self._step)

    def at(self, step: str) -> None:
        """The command is at this now. The first step is said at once."""
        with self._lock:
            first, self._step = self._step is None, step
            if first:
                self._tell(step)

    def end(self, text: str) -> None:
        """Say a last word, if anything was said before."""
        self._done.set()
        with self._lock:
            if self._step is not None:
                self._tell(text)

    def _tell(self, text: str) -> None:
        self._told = time.monotonic()
        minutes, seconds = divmod(round(self._told - self._began), 60)
        sys.stdout.write(f"{minutes:3d}:{seconds:02d}  {text}\n")
        sys.stdout.flush()


def run(command: "list[str]", every_seconds: float = EVERY_SECONDS) -> int:
    """Run it; the exit code."""
    last: deque[str] = deque(maxlen=SHOWN_LINES)
    teller = Teller(every_seconds)
    threading.Thread(target=teller.watch, daemon=True).start()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace"
    ) as at:
        assert at.stdout is not None
        for line in at.stdout:
            last.append(line)
            step = step_of(line)
            if step is not None:
                teller.at(step)
    if at.returncode:
        teller.end("failed")
        sys.stderr.write("".join(last))
    else:
        teller.end("done")
    return at.returncode


if __name__ == "__main__":
    try:
        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
