"""Ports that neither another test worker nor a client of this machine takes."""

import itertools
import os
import socket

FIRST, OF_A_WORKER = 20000, 1000
"""Below 32768, where Linux begins with those that it gives away itself."""

_offsets = itertools.count(os.getpid())
"""Another run of the tests, which has the same numbers of workers, most likely begins elsewhere."""


def free_port() -> int:
    """Return the next of this worker's own ports on which no process listens."""
    first = FIRST + OF_A_WORKER * _worker()
    for _ in range(OF_A_WORKER):
        port = first + next(_offsets) % OF_A_WORKER
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no port is free from {first} on")


def _worker() -> int:
    """Return this worker's number: 0 if all tests run in one process, else 1 for gw0 and so on, at most 11."""
    name = os.environ.get("PYTEST_XDIST_WORKER", "")
    return int(name.removeprefix("gw")) % 11 + 1 if name else 0
