"""The port of the server: free before anything is started, and listened at before *ready* is said."""

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
"""Where the host listens when it is told nothing."""


def require_free_port(host: str, port: int) -> None:
    """Try to take the port as the web server will, and give it back.

    Raises:
        InvalidInputError: another program has it, or it cannot be taken there; the line names host and port.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise InvalidInputError(f"--host {host}: is no address of this machine ({error.strerror}): name one") from error
    refusals = [said for family, _, _, _, address in found if (said := _refusal(family, address)) is not None]
    # A name may have addresses that this machine has not; the web server leaves them out too.
    for refusal in refusals:
        if refusal.errno not in _NOT_HERE or len(refusals) == len(found):
            raise InvalidInputError(
                f"--port {port}: cannot be opened at {host} ({refusal.strerror}): end the program that uses it, or "
                "give another --port (or --host)"
            ) from refusal


def _refusal(family: socket.AddressFamily, address: tuple[object, ...]) -> OSError | None:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            if os.name == "posix":  # a port of a server that has just ended is free, as it is for the web server
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:  # 0.0.0.0 and :: are two addresses
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(address)
    except OSError as error:
        return error
    return None


def when_listening(port: int, say: Callable[[int], None], interval_seconds: float = 0.1) -> threading.Thread:
    """Call `say` with the port, in a thread of its own, as soon as this process listens there.

    The host tells an app that all is ready before the web server has tried to take the port.
    """

    def watch() -> None:
        while (found := _listened_at(port)) is None:
            time.sleep(interval_seconds)
        say(found)

    thread = threading.Thread(target=watch, name="when-listening", daemon=True)
    thread.start()
    return thread


def _listened_at(port: int) -> int | None:
    """That port, if this process listens there, else the one where it does: the system may have chosen it."""
    connections = psutil.Process().net_connections("tcp")
    ports = [one.laddr.port for one in connections if one.status == psutil.CONN_LISTEN]
    return port if port in ports else min(ports, default=None)
