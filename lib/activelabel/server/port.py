"""Checks that the server's port is free before the start, and waits until the server listens at it."""

import errno
import os
import socket
import threading
import time
from collections.abc import Callable

import psutil

from activelabel.errors import InvalidInputError

_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
HOSTS_DEFAULT = "0.0.0.0"
"""Address at which the host listens by default."""


def require_free_port(host: str, port: int) -> None:
    """Bind the port as the web server will, and release it.

    Raises:
        InvalidInputError: the port is used by another program or cannot be bound; the line names host and port.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise InvalidInputError(f"--host {host}: is no address of this machine ({error.strerror}): name one") from error
    refusals = [refused for family, _, _, _, address in found if (refused := _refusal(family, address)) is not None]
    # A name may have addresses that this machine lacks; the web server leaves them out too.
    for refusal in refusals:
        if refusal.errno not in _NOT_HERE or len(refusals) == len(found):
            raise InvalidInputError(
                f"--port {port}: cannot be opened at {host} ({refusal.strerror}): end the program that uses it, or "
                "give another --port (or --host)"
            ) from refusal


def _refusal(family: socket.AddressFamily, address: tuple[object, ...]) -> OSError | None:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            if os.name == "posix":  # as the web server does: the port of a server that has just ended is free
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:  # :: does not include 0.0.0.0
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(address)
    except OSError as error:
        return error
    return None


def when_listening(port: int, say: Callable[[int], None], interval_seconds: float = 0.1) -> threading.Thread:
    """Call `say` with the port, in a new thread, as soon as this process listens there.

    The host calls the app's `on_init_complete` before the web server binds the port.
    """

    def watch() -> None:
        while (found := _listened_at(port)) is None:
            time.sleep(interval_seconds)
        say(found)

    thread = threading.Thread(target=watch, name="when-listening", daemon=True)
    thread.start()
    return thread


def _listened_at(port: int) -> int | None:
    """The given port if this process listens there, else a port where it listens, as the system may choose it."""
    connections = psutil.Process().net_connections("tcp")
    ports = [one.laddr.port for one in connections if one.status == psutil.CONN_LISTEN]
    return port if port in ports else min(ports, default=None)
