"""The processes of a server: tells them apart, and ends children together with the server."""

import ctypes
import itertools
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from monailabel.utils.async_tasks.utils import background_executors, background_processes

from activelabel.backports import parent_lives
from activelabel.data.files.behind import wait_for_disk
from activelabel.errors import ActiveLabelError
from activelabel.idle_threads import let_idle_threads_sleep

CHILD_MODULE = "monailabel.interfaces.utils.app"
START_MODULES = ("monailabel.main", "activelabel.server.host_main")
SERVER_PID = "ACTIVELABEL_SERVER_PID"
"""The variable that tells a child the process id of its parent: the server, or the process that forks its children."""


def is_child() -> bool:
    """Whether this process is a child that the server started for training, scoring or batch inference."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec is not None and spec.name == CHILD_MODULE


def is_start_command() -> bool:
    """Whether this process is the host's start command, which serves at the given port."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec is not None and spec.name in START_MODULES


def child_method() -> str | None:
    """The method of a child: `train`, `scoring`, `infer` or `batch_infer`; None in the server itself."""
    if not is_child():
        return None
    options = sys.argv[1:]
    return next((value for name, value in itertools.pairwise(options) if name in ("-m", "--method")), None)


@contextmanager
def one_line_in_child() -> Iterator[None]:
    """End a child with the one line of a user error. In the server itself, the routes answer with that line."""
    try:
        yield
    except ActiveLabelError as error:
        if not is_child():
            raise
        raise SystemExit(str(error)) from error


def end_with_server(interval_seconds: float = 0.5) -> None:
    """In the server: record its process id for children. In a child: end soon after the server has ended.

    A killed host leaves its children running, beside those of the next server. A child compares its parent with the
    recorded id, since the server may have ended before this function runs, seconds after the start of the child.
    The process that forks children ends with the server.
    """
    if not is_child():
        os.environ[SERVER_PID] = str(os.getpid())
        let_idle_threads_sleep()  # in children that load torch
        return
    server = int(os.environ[SERVER_PID])

    def watch() -> None:
        while parent_lives(server):
            time.sleep(interval_seconds)
        os._exit(1)

    threading.Thread(target=watch, name="end-with-server", daemon=True).start()


def end_children_with_server(also: Callable[[], None] = lambda: None) -> None:
    """On Ctrl-C or a termination signal, end the children first, and call `also`.

    The host would wait for a running training before it exits. The work is recorded in the ledger and begins again
    with the next server. Call this in the main thread, after the server has set its own handlers.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        server_handler = signal.getsignal(number)

        def handle(received: int, frame: FrameType | None, server_handler: object = server_handler) -> None:
            stop_children()
            also()
            if callable(server_handler):
                server_handler(received, frame)
            wait_for_disk()  # after its last request the web server ends the process by the signal itself

        signal.signal(number, handle)


def stop_children() -> None:
    """Cancel queued tasks and kill running ones."""
    for executor in background_executors.values():
        executor.shutdown(wait=False, cancel_futures=True)
    for processes in background_processes.values():
        for process in list(processes.values()):
            process.kill()


def return_memory() -> None:
    """Give back to the system what a start has needed for a while, which the C library of Linux keeps else."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def stop_start(error: ActiveLabelError) -> NoReturn:
    """End the process with the error's line.

    The web server would print any exception, even `SystemExit`, with a long traceback.
    """
    logging.getLogger("activelabel").critical("cannot start: %s", error)
    logging.shutdown()
    os._exit(2)
