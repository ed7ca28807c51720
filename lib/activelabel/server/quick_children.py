"""Starts the trainings and scorings of a server as forks of a process that has imported what they need.

In a small project they take seconds, of which the imports took three, and what each had imported took some hundred MB,
which forks share.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, Any

from monailabel.utils.async_tasks import utils as host_tasks

from activelabel.server.forker import MOST_BYTES, Forker
from activelabel.server.processes import CHILD_MODULE

_METHODS = ("train", "scoring")
_NUMBER_BYTES = 32


def start_children_quickly() -> None:
    """Fork the process that forks children, and let the host start its trainings and scorings there.

    Call this in the server's main thread, before anything of the project is opened. Where no process can be forked, or
    not safely, each child is started by the host as before.
    """
    if _can_fork():
        host_tasks.subprocess = QuickSubprocess(*fork_forker())


def _can_fork() -> bool:
    """Whether this is Linux, and this process has no second thread, whose locks would stay taken in a fork.

    How OpenMP's threads wait is read when torch is loaded, and a fork cannot change it: it must have been said before.
    """
    if sys.platform != "linux" or threading.active_count() > 1 or "OMP_WAIT_POLICY" not in os.environ:
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):  # a kernel or a sandbox without it
        return False
    return True


def fork_forker() -> tuple[socket.socket, int]:
    """Fork the process that forks children; return the socket at which it is asked, and its process id.

    It ends when the socket is closed.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MOST_BYTES)
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        ours.close()
        Forker(theirs).run()
    theirs.close()
    return ours, pid


class QuickSubprocess:
    """What the host uses of the module `subprocess`, with a `Popen` that forks trainings and scorings."""

    PIPE, STDOUT = subprocess.PIPE, subprocess.STDOUT

    def __init__(self, control: socket.socket, forker: int) -> None:
        self._control, self._forker = control, forker

    def Popen(
        self, command: Sequence[str], *, env: Mapping[str, str], **options: Any
    ) -> "ForkedChild | subprocess.Popen[str]":
        """Start a child of the host: by a fork if it trains or scores, and if there is somebody who forks it."""
        if list(command[1:4]) == ["-m", CHILD_MODULE, "-m"] and command[4] in _METHODS:
            try:
                return ForkedChild(self._control, command[3:], env)
            except OSError:
                with suppress(ChildProcessError):
                    os.waitpid(self._forker, os.WNOHANG)  # if it has ended, nothing is left of it
        return subprocess.Popen(command, env=env, **options)


class ForkedChild:
    """A forked child, with what the host uses of a `Popen`.

    Attributes:
        pid: its process id.
        stdout: what it prints.
        returncode: its exit code, once `poll` has seen its end.
    """

    def __init__(self, control: socket.socket, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        """Ask for a child that runs the host's module for children with these arguments.

        Raises:
            OSError: nobody forks it, or the message is too long.
        """
        message = json.dumps({"arguments": list(arguments), "environment": dict(environment)}).encode()
        self._answers, answering = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        reading, printing = os.pipe()
        self.stdout: IO[str] = os.fdopen(reading, encoding="utf-8", errors="replace")
        try:
            socket.send_fds(control, [message], [printing, answering.fileno()])
        finally:
            os.close(printing)
            answering.close()
        answer, descriptors, _, _ = socket.recv_fds(self._answers, _NUMBER_BYTES, 1)
        if not answer:
            raise BrokenPipeError("the child could not be forked, or nobody forks children any more")
        self.pid, (self._descriptor,) = int(answer), descriptors
        self.returncode: int | None = None
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """Return the exit code, or None while the child runs; minus the signal's number if one has ended it."""
        with self._lock:
            if self.returncode is None:
                self.returncode = self._end_if_known()
            return self.returncode

    def kill(self) -> None:
        """Kill it, unless it has ended."""
        with self._lock, suppress(ProcessLookupError):
            if self.returncode is None:
                signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    def _end_if_known(self) -> int | None:
        """The exit code if it was answered. Once nobody is left to answer, the child ends too, by its own watch."""
        try:
            code = int(self._answers.recv(_NUMBER_BYTES, socket.MSG_DONTWAIT) or -signal.SIGKILL)
        except BlockingIOError:
            return None
        os.close(self._descriptor)
        self._answers.close()
        return code
