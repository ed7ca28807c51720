"""A process that forks the children of a server: it has imported what takes most of their start.

It is itself a fork of the server, made before the server has threads, open files of the project or a GPU, and it
shares the server's memory. Each message asks for a child. The answers are the child's process id and, at its end, its
exit code.
"""

import asyncio
import atexit
import ctypes
import json
import logging
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple, NoReturn

import torch

from activelabel.server.processes import CHILD_MODULE, SERVER_PID

MOST_BYTES = 1 << 20
"""Of a message that asks for a child: its arguments and its environment."""
_DESCRIPTORS = 2  # what a message brings: where the child prints, and where its end is told
TITLE = ("activelabel", "starts the children of this server")
_APP_MODULE = "activelabel.server.host_app.main"


class _Child(NamedTuple):
    """A child that runs: its process id, and the socket on which its exit code is awaited."""

    pid: int
    answers: socket.socket


class Forker:
    """Forks children as asked, until the server has ended; each child's own watch then ends it too."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._selector = selectors.DefaultSelector()

    def run(self) -> NoReturn:
        """Be this process from now on; end at once if the server has asked for a GPU already, which no fork may use."""
        code = 1
        try:
            _leave_to_server()
            _set_title(TITLE)
            self._selector.register(self._control, selectors.EVENT_READ)
            while not torch.cuda._is_in_bad_fork() and self._serve():
                pass
            code = 0
        except BaseException:  # noqa: BLE001  # nothing returns to what the server was at
            traceback.print_exc()
        finally:
            os._exit(code)

    def _serve(self) -> bool:
        """Answer what has happened; return whether the server still runs."""
        for key, _ in self._selector.select():
            if isinstance(key.data, _Child):
                self._tell_end(key.fd, key.data)
                continue
            message, descriptors, _, _ = socket.recv_fds(self._control, MOST_BYTES, _DESCRIPTORS)
            if not message:
                return False
            try:
                if len(descriptors) < _DESCRIPTORS:
                    raise OSError("no descriptor is left")
                self._fork(message, *descriptors)
            except OSError:  # the server starts the child itself
                traceback.print_exc()
                for descriptor in descriptors:
                    os.close(descriptor)
        return True

    def _fork(self, message: bytes, printing: int, answering: int) -> None:
        """Fork a child that prints into `printing`; send its process id and a descriptor of it to `answering`.

        Raises:
            OSError: there is no process or no descriptor left. Then no child runs.
        """
        forker, pid = os.getpid(), os.fork()
        if pid == 0:
            self._close_all()
            os.close(answering)
            _become_child(message, printing, forker)
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        os.close(printing)
        child = _Child(pid, socket.socket(fileno=answering))
        with suppress(OSError):  # the server has ended, which the control socket says next
            socket.send_fds(child.answers, [str(pid).encode()], [descriptor])
        self._selector.register(descriptor, selectors.EVENT_READ, child)

    def _close_all(self) -> None:
        """Close in a child what belongs to the forker and to the other children."""
        for key in list(self._selector.get_map().values()):
            os.close(key.fd)
            if isinstance(key.data, _Child):
                key.data.answers.close()
        self._selector.close()

    def _tell_end(self, descriptor: int, child: _Child) -> None:
        self._selector.unregister(descriptor)
        os.close(descriptor)
        code = os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])
        with suppress(OSError):  # as above
            child.answers.send(str(code).encode())
        child.answers.close()


def _leave_to_server() -> None:
    """Leave to the server its signals and its event loop; Ctrl-C in a terminal reaches this process too."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    asyncio._set_running_loop(None)


def _become_child(message: bytes, printing: int, forker: int) -> NoReturn:
    """Go on as `python -m monailabel.interfaces.utils.app` does with the arguments and environment of the message."""
    code = 1
    try:
        asked = json.loads(message)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ.clear()
        os.environ.update({**asked["environment"], SERVER_PID: str(forker)})
        for output in (1, 2):
            os.dup2(printing, output)
        os.close(printing)
        _set_title((sys.executable, "-m", CHILD_MODULE, *asked["arguments"]))
        code = _run_host_module(asked["arguments"])
    except BaseException:  # noqa: BLE001  # as Python's own main does
        traceback.print_exc()
    finally:
        _end(code)


def _run_host_module(arguments: Sequence[str]) -> int:
    """Run the host's module for children, and return the exit code that Python would give."""
    import numpy as np
    from monailabel.config import settings

    np.random.seed()  # a fork would draw what the others draw
    settings.__init__()  # it reads the environment, which is the child's now
    logging.root.handlers.clear()  # the host's module makes its own
    for name in (_APP_MODULE, CHILD_MODULE):  # what these are depends on the process in which they are imported
        sys.modules.pop(name, None)
    sys.argv = [CHILD_MODULE, *arguments]
    try:
        runpy.run_module(CHILD_MODULE, run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        if isinstance(stop.code, str):
            sys.stderr.write(f"{stop.code}\n")
            return 1
        return stop.code or 0
    return 0


def _end(code: int) -> NoReturn:
    """End as a Python process does: threads that are no daemons first, then what was registered for the end."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _set_title(words: Sequence[str]) -> None:
    """Show these words as the command line of this process, in the place of the server's, as far as there is room."""
    with open("/proc/self/stat", encoding="utf-8") as file:
        start, end = (int(number) for number in file.read().rpartition(")")[2].split()[45:47])
    title = b"\0".join(word.encode() for word in words)[: max(end - start - 1, 0)]
    ctypes.memmove(start, title.ljust(end - start, b"\0"), end - start)
