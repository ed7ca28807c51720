"""A Ray cluster: on this machine, or one at an address, with a line for each way in which it cannot be used."""

import os
import socket
from typing import Any

import psutil

from activelabel.errors import InvalidInputError

_CLIENT = "ray://"
"""What the address of Ray's own server for clients begins with: it serves machines that are no nodes of the cluster."""
_ANSWER_SECONDS = 10


def connect(ray: Any, address: str, cores: int) -> None:
    """Connect to the Ray cluster at an address; with an empty one, start a cluster of so many cores on this machine.

    Raises:
        InvalidInputError: no cluster answers at the address, it has another version of Ray or Python, or this machine
            is none of its nodes.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
    if not address:
        # Without an address Ray takes one that runs here, or that the environment names, and refuses its cores.
        options = {"include_dashboard": False, "logging_level": "warning", "ignore_reinit_error": True}
        ray.init("local", num_cpus=cores, **options)
        return
    if address != "auto":  # Ray looks for the cluster of this machine
        check_answer(address)
    if not address.startswith(_CLIENT) and not _is_node():  # Ray itself would end this process with a stack of its own
        raise InvalidInputError(
            f"--ray-address {address}: this machine is no node of a Ray cluster: run this on one of its nodes, or give "
            f"the address of its server for clients, {_CLIENT}HOST:10001"
        )
    try:
        ray.init(address=address, logging_level="warning", ignore_reinit_error=True)
    except (ConnectionError, TimeoutError, RuntimeError, ValueError) as error:
        line = " ".join(str(error).split())[:300]
        raise InvalidInputError(f"--ray-address {address}: no Ray cluster for this worker answers ({line})") from error


def check_answer(address: str) -> None:
    """Check that something answers at an address, for which Ray itself would wait more than ten minutes.

    Raises:
        InvalidInputError: nothing does.
    """
    host, _, port = address.removeprefix(_CLIENT).rpartition(":")
    if not (host and port.isascii() and port.isdigit()):
        raise InvalidInputError(f"--ray-address {address}: expected auto, HOST:6379, or {_CLIENT}HOST:10001")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]  # an address of IPv6
    try:
        socket.create_connection((host, int(port)), _ANSWER_SECONDS).close()
    except (OSError, OverflowError, ValueError) as error:  # a name that cannot be one is a UnicodeError
        raise InvalidInputError(f"--ray-address {address}: nothing answers there ({error}): is Ray up?") from error


def _is_node() -> bool:
    """Whether a Ray cluster has a node on this machine."""
    return any(process.info["name"] in ("raylet", "raylet.exe") for process in psutil.process_iter(["name"]))
