"""Ports that no other worker of the tests takes, and no client that the system gives a port to."""

import itertools
import os
import socket

FIRST, OF_A_WORKER = 20000, 1000
"""Below 32768, where Linux begins with those that it gives away itself."""

_offsets = itertools.count()


def free_port() -> int:
    """The next port of this worker's own on which nobody listens."""
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
    """Of this process: 0 where tests run in one, else 1 for gw0 and so on, at most 11."""
    name = os.environ.get("PYTEST_XDIST_WORKER", "")
    return int(name.removeprefix("gw")) % 11 + 1 if name else 0
